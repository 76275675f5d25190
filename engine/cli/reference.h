/* reference: `spate reference`: the tables of commands, options and exit codes as JSON. The manual pages and
 * docs/reference.md are made from it (scripts/docs), so that neither can say what the program does not. */
#ifndef SPATE_ENGINE_CLI_REFERENCE_H
#define SPATE_ENGINE_CLI_REFERENCE_H

int reference_main(int argc, char **argv);

#endif
