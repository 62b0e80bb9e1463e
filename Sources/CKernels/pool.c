// A small pool: threads spin briefly for the next piece of work, then sleep. Work is claimed index by index, so a thread that the system took
// off its core delays only the index it holds (barriers that spin collapse when a core is shared, see shared/peers.md).
#define _GNU_SOURCE
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "include/kernels.h"

enum { MAX_THREADS = 64, SPINS = 2000, INDEX_BITS = 20 };

static struct {
  pthread_mutex_t region;  // held by the thread whose job the pool runs
  // generation (24 bits) | total (20) | next index (20): a claim is one compare-and-swap, and names the job it belongs to
  _Atomic uint64_t job;
  _Atomic size_t done;
  void (*task)(void *context, size_t index);
  void *context;
  pthread_mutex_t sleep;
  pthread_cond_t wake;
  _Atomic int sleepers;
  _Atomic bool stop;
  pthread_t threads[MAX_THREADS];
  _Atomic int count;  // threads, the caller included
  int wanted;         // how many there are to be; set before any of them starts
} pool = {.region = PTHREAD_MUTEX_INITIALIZER, .sleep = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .count = 1};

static inline void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

static bool has_work(uint64_t job) { return (job & ((1u << INDEX_BITS) - 1)) < ((job >> INDEX_BITS) & ((1u << INDEX_BITS) - 1)); }

// Runs indices until none is left; a successful claim means the job is still open, so task and context belong to it.
static void work(void) {
  uint64_t job = atomic_load(&pool.job);
  while (has_work(job)) {
    if (!atomic_compare_exchange_weak(&pool.job, &job, job + 1)) continue;
    pool.task(pool.context, job & ((1u << INDEX_BITS) - 1));
    atomic_fetch_add(&pool.done, 1);
    job = atomic_load(&pool.job);
  }
}

// Keeps this thread to the index-th of the CPUs it may use, when KERNELS_PIN asks for it and there is one for each thread. The caller's thread is
// left alone: it has other things to do, and finds its own CPU free.
static void pin(size_t index) {
  const char *wanted = getenv("KERNELS_PIN");
  cpu_set_t allowed, own;
  if (wanted == NULL || wanted[0] != '1' || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  if (CPU_COUNT(&allowed) != pool.wanted) return;
  CPU_ZERO(&own);
  for (int cpu = 0, seen = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed) && (size_t)seen++ == index) CPU_SET(cpu, &own);
  pthread_setaffinity_np(pthread_self(), sizeof own, &own);
}

static void *thread_main(void *index) {
  pin((size_t)index);
  while (!atomic_load(&pool.stop)) {
    work();
    int spins = 0;
    while (spins < SPINS && !has_work(atomic_load(&pool.job))) {
      pause_briefly();
      spins++;
    }
    if (spins < SPINS) continue;
    pthread_mutex_lock(&pool.sleep);
    atomic_fetch_add(&pool.sleepers, 1);
    while (!has_work(atomic_load(&pool.job)) && !atomic_load(&pool.stop)) pthread_cond_wait(&pool.wake, &pool.sleep);
    atomic_fetch_sub(&pool.sleepers, 1);
    pthread_mutex_unlock(&pool.sleep);
  }
  return NULL;
}

static void wake_all(void) {
  pthread_mutex_lock(&pool.sleep);
  pthread_cond_broadcast(&pool.wake);
  pthread_mutex_unlock(&pool.sleep);
}

void kernels_set_threads(int count) {
  count = count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : count;
  pthread_mutex_lock(&pool.region);
  atomic_store(&pool.stop, true);
  wake_all();
  for (int i = 1; i < atomic_load(&pool.count); i++) pthread_join(pool.threads[i], NULL);
  atomic_store(&pool.stop, false);
  int started = 1;
  pool.wanted = count;
  while (started < count && pthread_create(&pool.threads[started], NULL, thread_main, (void *)(size_t)started) == 0) started++;
  atomic_store(&pool.count, started);
  pthread_mutex_unlock(&pool.region);
}

double pool_cpu_seconds(void) {
  double seconds = 0;
  for (int i = 1; i < atomic_load(&pool.count); i++) {
    clockid_t clock;
    struct timespec now;
    if (pthread_getcpuclockid(pool.threads[i], &clock) != 0 || clock_gettime(clock, &now) != 0) continue;
    seconds += (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
  }
  return seconds;
}

int kernels_threads(void) { return atomic_load(&pool.count); }

void pool_run(size_t count, void (*task)(void *context, size_t index), void *context) {
  if (count <= 1 || count >= 1u << INDEX_BITS || atomic_load(&pool.count) == 1 || pthread_mutex_trylock(&pool.region) != 0) {
    for (size_t index = 0; index < count; index++) task(context, index);
    return;
  }
  pool.task = task;
  pool.context = context;
  atomic_store(&pool.done, 0);
  uint64_t generation = (atomic_load(&pool.job) >> (2 * INDEX_BITS)) + 1;
  atomic_store(&pool.job, generation << (2 * INDEX_BITS) | (uint64_t)count << INDEX_BITS);
  if (atomic_load(&pool.sleepers) > 0) wake_all();
  work();
  for (int spins = 0; atomic_load(&pool.done) < count; spins++) {
    if (spins < SPINS) pause_briefly();
    else sched_yield();
  }
  pthread_mutex_unlock(&pool.region);
}

// ---- Scratch memory ----

struct scratch {
  float *memory[4];
  size_t capacity[4];
};

static pthread_key_t scratch_key;
static pthread_once_t scratch_once = PTHREAD_ONCE_INIT;

static void scratch_free(void *value) {
  struct scratch *scratch = value;
  for (int slot = 0; slot < 4; slot++) free(scratch->memory[slot]);
  free(scratch);
}

static void scratch_make_key(void) { pthread_key_create(&scratch_key, scratch_free); }

float *pool_scratch(int slot, size_t count) {
  pthread_once(&scratch_once, scratch_make_key);
  struct scratch *scratch = pthread_getspecific(scratch_key);
  if (scratch == NULL) {
    scratch = calloc(1, sizeof *scratch);
    if (scratch == NULL || pthread_setspecific(scratch_key, scratch) != 0) return NULL;
  }
  if (scratch->capacity[slot] < count) {
    free(scratch->memory[slot]);
    // A quarter more than asked for: a request's positions grow with every token, and memory is not to be asked for with each.
    size_t capacity = (count + count / 4 + 15) & ~(size_t)15;
    scratch->memory[slot] = aligned_alloc(64, capacity * sizeof(float));
    scratch->capacity[slot] = scratch->memory[slot] ? capacity : 0;
  }
  return scratch->memory[slot];
}
