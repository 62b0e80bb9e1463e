// Chooses one table of kernels by what the CPU can do, best first, once.
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "table.h"

static _Atomic(const struct kernel_table *) current;
static _Thread_local const struct kernel_table *of_this_thread;
static pthread_once_t chosen = PTHREAD_ONCE_INIT;

bool cpu_has_avx512(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

bool cpu_has_avx2(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

// AVX-VNNI: CPUID leaf 7, subleaf 1, EAX bit 4 (Alder Lake, Zen 5 and later).
static bool cpu_has_avxvnni(void) {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
#else
  return false;
#endif
}

// Where AMX (Sapphire Rapids and later) would come in: a table in front of avx512vnni's that has the same functions but for int8_sums, int4_sums
// and strip_rows. Not written, since there was no CPU to test its arithmetic on. It needs
// - here: CPUID leaf 7 EDX bits 24 and 25 (AMX-TILE, AMX-INT8), XGETBV's bits 17 and 18 (the system saves tiles), and, before the first tile of the
//   process, arch_prctl(ARCH_REQ_XCOMP_PERM, 18), which Linux (5.16 and later) may refuse; without all three the first tile instruction is SIGILL;
// - no other packing: a group of a panel is a row of two weight tiles, 64 bytes each, so tdpbusd takes a half panel with a stride of
//   INT8_GROUP_BYTES as it stands in files; activations in strips of 16 rows, 32 inputs a row, are tiles of half width (64 would be whole ones);
// - ldtilecfg in each task and tilerelease behind it, since pool threads come and go;
// - the tests that hold every table: QuantisedProductTests (bits of the specification, extremes), LawTests with KERNELS_ISA naming it.

// The index-th table this CPU can run, best first.
static const struct kernel_table *available(int index) {
  const struct kernel_table *tables[6];
  int count = 0;
#if defined(__x86_64__)
  if (cpu_has_avx512()) {
    if (__builtin_cpu_supports("avx512vnni")) tables[count++] = &kernel_table_avx512vnni;
    tables[count++] = &kernel_table_avx512;
  }
  if (cpu_has_avx2() && cpu_has_avxvnni()) tables[count++] = &kernel_table_avxvnni;
  if (cpu_has_avx2()) tables[count++] = &kernel_table_avx2;
#endif
  tables[count++] = &kernel_table_portable;
  tables[count++] = &kernel_table_scalar;
  return index >= 0 && index < count ? tables[index] : NULL;
}

const char *kernels_isa_available(int index) {
  const struct kernel_table *table = available(index);
  return table ? table->isa : NULL;
}

// The table of that name; NULL when this CPU can't run it.
static const struct kernel_table *named(const char *name) {
  for (int index = 0; available(index); index++)
    if (strcmp(available(index)->isa, name) == 0) return available(index);
  return NULL;
}

bool kernels_isa_select(const char *name) {
  const struct kernel_table *table = named(name);
  if (table) of_this_thread = table;
  return table != NULL;
}

static void choose(void) {
  const char *wanted = getenv("KERNELS_ISA");
  const struct kernel_table *table = wanted ? named(wanted) : NULL;
  atomic_store(&current, table ? table : available(0));
}

const struct kernel_table *kernel_table_current(void) {
  if (of_this_thread) return of_this_thread;
  pthread_once(&chosen, choose);
  return atomic_load(&current);
}

const char *kernels_isa(void) { return kernel_table_current()->isa; }
