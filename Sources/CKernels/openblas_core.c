// The OpenBLAS trap. Debian's OpenBLAS 0.3.21 knows CPUs by model number and takes one it doesn't know for the oldest of its maker: an
// Emerald Rapids Xeon for a Prescott, 5 times slower. It looks once, in its load-time constructor, so an earlier constructor here (OpenBLAS is
// linked statically for that) asks it what it would take, and where that wastes the CPU's instructions sets OPENBLAS_CORETYPE before the library
// starts. A value that the user set is never touched.
#include <cblas.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "table.h"

extern void gotoblas_dynamic_init(void);
extern void gotoblas_dynamic_quit(void);
extern void gotoblas_init(void);

static char detected[32];
static bool from_user;

static bool is_one_of(const char *name, const char *const *list) {
  for (; *list; list++)
    if (strcasecmp(name, *list) == 0) return true;
  return false;
}

static const char *const avx512_cores[] = {"SkylakeX", "Cooperlake", "SapphireRapids", NULL};
static const char *const avx2_cores[] = {"Haswell", "Zen", "Excavator", NULL};

const char *kernels_blas_core_correction(const char *name, bool has_avx512, bool has_avx2) {
  if (has_avx512) return is_one_of(name, avx512_cores) ? NULL : "SkylakeX";
  if (has_avx2) return is_one_of(name, avx2_cores) ? NULL : "Haswell";
  return NULL;
}

static const char *correction_here(const char *name) { return kernels_blas_core_correction(name, cpu_has_avx512(), cpu_has_avx2()); }

// Sets a variable for as long as OpenBLAS reads it: child processes decide for themselves.
static void with_variable(const char *name, const char *value, void (*body)(void)) {
  const char *before = getenv(name);
  char *kept = before ? strdup(before) : NULL;
  setenv(name, value, 1);
  body();
  if (kept) setenv(name, kept, 1);
  else unsetenv(name);
  free(kept);
}

static void set_up(void) { gotoblas_init(); }

// One thread: our pool shares out the work, and OpenBLAS need not start threads of its own.
static void set_up_with_one_thread(void) { with_variable("OPENBLAS_NUM_THREADS", "1", set_up); }

// Priority 101 is the first a program may use. OpenBLAS's own constructor has none, comes later, and finds the work done.
__attribute__((constructor(101))) static void choose_core(void) {
  from_user = getenv("OPENBLAS_CORETYPE") != NULL;
  gotoblas_dynamic_init();
  strncpy(detected, openblas_get_corename(), sizeof detected - 1);
  const char *better = from_user ? NULL : correction_here(detected);
  if (better == NULL) {
    set_up_with_one_thread();
    return;
  }
  gotoblas_dynamic_quit();
  with_variable("OPENBLAS_CORETYPE", better, set_up_with_one_thread);
}

const char *kernels_blas_core(void) { return openblas_get_corename(); }
const char *kernels_blas_core_detected(void) { return detected; }
bool kernels_blas_core_from_user(void) { return from_user; }
const char *kernels_blas_core_better(void) { return correction_here(openblas_get_corename()); }
const char *kernels_blas_version(void) { return openblas_get_config(); }
bool kernels_rows_are_exact(void) { return is_one_of(openblas_get_corename(), avx512_cores); }

double kernels_blas_self_test(void) {
  static const size_t shapes[][3] = {{1, 7, 33}, {5, 72, 100}, {17, 65, 257}, {64, 48, 512}};
  double worst = 0;
  for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
    size_t T = shapes[s][0], N = shapes[s][1], K = shapes[s][2];
    float *x = malloc(T * K * sizeof(float)), *w = malloc(N * K * sizeof(float)), *out = malloc(T * N * sizeof(float));
    if (x && w && out) {
      uint32_t state = 1;
      for (size_t i = 0; i < T * K; i++) x[i] = (float)((state = state * 1664525u + 1013904223u) >> 8) / 8388608.0f - 1;
      for (size_t i = 0; i < N * K; i++) w[i] = (float)((state = state * 1664525u + 1013904223u) >> 8) / 8388608.0f - 1;
      kernel_linear_f32(T, N, K, x, w, NULL, out);
      for (size_t t = 0; t < T; t++)
        for (size_t n = 0; n < N; n++) {
          double sum = 0, size = 0;
          for (size_t k = 0; k < K; k++) {
            sum += (double)x[t * K + k] * w[n * K + k];
            size += fabs((double)x[t * K + k] * w[n * K + k]);
          }
          worst = fmax(worst, fabs(sum - out[t * N + n]) / size);
        }
    }
    free(x);
    free(w);
    free(out);
  }
  return worst;
}
