// The kernels' own threads.
#ifndef PALISADE_POOL_H
#define PALISADE_POOL_H
#include <stddef.h>

/// Calls `task(context, index)` for every index below `count`, on this thread and the pool's; returns when all are done. Runs them
/// all here when another thread is using the pool, or `count` is 2²⁰ or more. Tasks must not depend on each other.
void pool_run(size_t count, void (*task)(void *context, size_t index), void *context);

/// CPU seconds so far of the pool's threads, the calling one not among them. No thread may be changing their number.
double pool_cpu_seconds(void);

/// A buffer of this thread's own with room for `count` floats, reused by the next call with the same slot (0...3); NULL when out of memory.
float *pool_scratch(int slot, size_t count);
#endif
