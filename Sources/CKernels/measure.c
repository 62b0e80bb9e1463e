// What this machine could do at best: the loop of integer multiplications that the table in use is made of, and reading memory. For
// `palisade bench`, which shows the kernels' rates as shares of these.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "pool.h"
#include "table.h"

enum { ROUNDS = 20, LOOPS = 500000, CHAINS = 12 };

static double thread_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// Not CLOCK_PROCESS_CPUTIME_ID: Linux brings that up to date for other threads only once a tick (4 ms with HZ=250), which made products of a
// few milliseconds on two threads twice as fast as the peak. A thread's own clock is exact, also when another reads it.
double kernels_cpu_seconds(void) { return thread_seconds() + pool_cpu_seconds(); }

#if defined(__x86_64__)
// Twelve chains, as in the tiles. AVX2: six multiplications, then six additions, which was the quickest order found.
#define M(n) "vpmaddwd %%ymm14, %%ymm15, %%ymm" #n "\n"
#define A(n, t) "vpaddd %%ymm" #t ", %%ymm" #n ", %%ymm" #n "\n"
#define SIX M(8) M(9) M(10) M(11) M(12) M(13) A(0, 8) A(1, 9) A(2, 10) A(3, 11) A(4, 12) A(5, 13)
#define D(reg, n) "vpdpbusd %%" reg "14, %%" reg "15, %%" reg #n "\n"
#define TWELVE(p, r) p D(r, 0) p D(r, 1) p D(r, 2) p D(r, 3) p D(r, 4) p D(r, 5) p D(r, 6) p D(r, 7) p D(r, 8) p D(r, 9) p D(r, 10) p D(r, 11)
#define LOOP(body)                                                                                                              \
  asm volatile("1:\n" body "dec %0\n jnz 1b\n vzeroupper\n"                                                                     \
               : "+r"(count)::"cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",    \
                 "xmm11", "xmm12", "xmm13", "xmm14", "xmm15")

static void multiply(const char *isa, size_t count) {
  if (strcmp(isa, "avx512vnni") == 0) LOOP(TWELVE("", "zmm"));
  else if (strcmp(isa, "avxvnni") == 0) LOOP(TWELVE("%{vex%} ", "ymm"));
  else LOOP(SIX SIX);
}

// Multiplications and additions of one register.
static double operations(const char *isa) { return strcmp(isa, "avx512vnni") == 0 ? 128 : strcmp(isa, "avxvnni") == 0 ? 64 : 32; }
#endif

double kernels_peak_gops(void) {
  double best = 0;
#if defined(__x86_64__)
  const char *isa = kernels_isa();
  if (!cpu_has_avx2()) return 0;
  for (int round = 0; round < ROUNDS; round++) {
    double start = thread_seconds();
    multiply(isa, LOOPS);
    double rate = CHAINS * operations(isa) * LOOPS / (thread_seconds() - start) / 1e9;
    best = rate > best ? rate : best;
  }
#endif
  return best;
}

enum { PIECE = 1 << 20, PREFETCH = 4096 };

static void read_piece(void *context, size_t index) {
  const uint64_t *words = (const uint64_t *)((const char *)context + index * PIECE);
  uint64_t sums[8] = {0};
  for (size_t i = 0; i < PIECE / 8; i += 8) {
    __builtin_prefetch((const char *)(words + i) + PREFETCH);
    for (size_t j = 0; j < 8; j++) sums[j] += words[i + j];
  }
  for (size_t j = 1; j < 8; j++) sums[0] += sums[j];
  asm volatile("" ::"r"(sums[0]));
}

// In huge pages where the system has them, as the weights are.
static char *pieces(size_t mebibytes) {
  size_t bytes = (mebibytes + 1) / 2 * 2 * PIECE;
  char *memory = aligned_alloc(2 * PIECE, bytes);
  if (memory == NULL) return NULL;
  madvise(memory, bytes, MADV_HUGEPAGE);
  memset(memory, 1, bytes);
  return memory;
}

double kernels_read_gbps(size_t mebibytes) {
  char *memory = pieces(mebibytes);
  if (memory == NULL) return 0;
  double best = 0;
  for (int round = 0; round < 8; round++) {
    double start = kernels_cpu_seconds();
    pool_run(mebibytes, read_piece, memory);
    double rate = (double)mebibytes * PIECE / (kernels_cpu_seconds() - start) / 1e9;
    best = rate > best ? rate : best;
  }
  free(memory);
  return best;
}

void *kernels_cold_memory(size_t mebibytes) { return pieces(mebibytes); }

void kernels_make_cold(void *memory, size_t mebibytes) {
  for (size_t index = 0; memory != NULL && index < mebibytes; index++) read_piece(memory, index);
}

void kernels_cold_memory_free(void *memory) { free(memory); }

typedef int gemm_u8s8s32(
    char transa, char transb, char offsetc, int64_t M, int64_t N, int64_t K, float alpha, const uint8_t *A, int64_t lda, uint8_t ao, const int8_t *B,
    int64_t ldb, int8_t bo, float beta, int32_t *C, int64_t ldc, const int32_t *co);

// Its threads' clocks are not ours to read, so it gets one.
static void one_thread_for(void *library) {
  void (*set_threads)(int) = (void (*)(int))dlsym(library, "omp_set_num_threads");
  if (set_threads != NULL) set_threads(1);
}

double kernels_onednn_gops(size_t T, size_t N, size_t K) {
  void *library = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) library = dlopen("libdnnl.so.3", RTLD_NOW | RTLD_LOCAL);
  gemm_u8s8s32 *gemm = library ? (gemm_u8s8s32 *)dlsym(library, "dnnl_gemm_u8s8s32") : NULL;
  if (gemm == NULL) return 0;
  one_thread_for(library);
  uint8_t *x = malloc(T * K);
  int8_t *w = malloc(N * K);
  int32_t *out = malloc(T * N * sizeof *out), zero = 0;
  double best = 0;
  if (x && w && out) {
    memset(x, 100, T * K);
    memset(w, 3, N * K);
    for (int round = 0; round < 5; round++) {
      double start = kernels_cpu_seconds();
      if (gemm('N', 'T', 'F', (int64_t)T, (int64_t)N, (int64_t)K, 1, x, (int64_t)K, 0, w, (int64_t)K, 0, 0, out, (int64_t)N, &zero) != 0) break;
      double rate = 2.0 * (double)T * (double)N * (double)K / (kernels_cpu_seconds() - start) / 1e9;
      best = rate > best ? rate : best;
    }
  }
  free(x);
  free(w);
  free(out);
  return best;
}
