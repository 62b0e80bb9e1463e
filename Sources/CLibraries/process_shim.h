// What glibc has and Swift's own module of it hides, because it isn't POSIX.
#ifndef PALISADE_PROCESS_SHIM_H
#define PALISADE_PROCESS_SHIM_H

#include <malloc.h>
#include <spawn.h>

// Declared again with glibc's own types, so that no feature macro has to reach every other header.
extern int pipe2(int ends[2], int flags);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);

enum { shim_set_pipe_size = 1024 + 7 };  // F_SETPIPE_SZ

#endif
