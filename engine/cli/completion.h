/* completion: `spate completion bash|zsh|fish`: a script that completes commands, options and their values in that
 * shell, written from the tables. */
#ifndef SPATE_ENGINE_CLI_COMPLETION_H
#define SPATE_ENGINE_CLI_COMPLETION_H

int completion_main(int argc, char **argv);

#endif
