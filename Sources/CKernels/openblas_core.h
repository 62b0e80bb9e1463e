#ifndef PALISADE_OPENBLAS_CORE_H
#define PALISADE_OPENBLAS_CORE_H
#include <stdbool.h>

/// True when OpenBLAS runs one of its AVX-512 core types, whose sgemm sums a row the same way wherever it stands.
bool openblas_core_is_avx512(void);

struct cpu_features {
  bool avx512, avx2;
};
/// The core type to use instead of `name` on a CPU with these features; NULL when `name` is right for them.
const char *openblas_core_correction(const char *name, struct cpu_features features);
#endif
