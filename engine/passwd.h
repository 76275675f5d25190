/* passwd: `spate passwd`: a password or token in, the line for the users file out. */
#ifndef SPATE_ENGINE_PASSWD_H
#define SPATE_ENGINE_PASSWD_H

#include "engine/base/check.h"

int passwd_main(int argc, char **argv);

#endif
