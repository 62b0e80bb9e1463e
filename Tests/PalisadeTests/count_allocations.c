// Loaded before all libraries (AllocationTests.swift): counts what the process takes from the heap, and how much of it was asked for at a
// multiple of a cache line or more, as only tensors' memory is; says so at its end.
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static atomic_ulong all, aligned;

static void *aligned_memory(size_t alignment, size_t size) {
  atomic_fetch_add(&all, 1);
  if (alignment >= 64) atomic_fetch_add(&aligned, 1);
  return __libc_memalign(alignment, size);
}

void *malloc(size_t size) {
  atomic_fetch_add(&all, 1);
  return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
  atomic_fetch_add(&all, 1);
  return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
  atomic_fetch_add(&all, 1);
  return __libc_realloc(memory, size);
}
void *aligned_alloc(size_t alignment, size_t size) { return aligned_memory(alignment, size); }
int posix_memalign(void **memory, size_t alignment, size_t size) {
  *memory = aligned_memory(alignment, size);
  return *memory ? 0 : ENOMEM;
}

__attribute__((destructor)) static void tell(void) {
  fprintf(stderr, "\nallocations %lu aligned %lu\n", atomic_load(&all), atomic_load(&aligned));
}
