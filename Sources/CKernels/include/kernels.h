// All arithmetic that must be fast, chosen once by CPU. Plain C: pointers and sizes, row-major, f32 unless a name says otherwise.
//
// Every operation works row by row in an order of reduction that depends on the row's length alone, never on how many rows there are or how
// many threads run, so that a request's numbers do not depend on its company (law 2) or on the cut (law 1).
//
// Legend: T rows (tokens), D width, N outputs, K inputs, S positions cached, H query heads, G key/value heads, E head width.
#ifndef PALISADE_KERNELS_H
#define PALISADE_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// ---- Choice of instruction set and threads ----

/// The instruction set in use: "avx512vnni", "avx512", "avxvnni", "avx2" or "portable". KERNELS_ISA in the environment forces one this CPU has.
const char *kernels_isa(void);
/// The index-th instruction set this CPU can run, best first; NULL past the last. The last is always "scalar", the specification.
const char *kernels_isa_available(int index);
/// Makes later calls from this thread use that instruction set; false when this CPU does not have it. For tests and `palisade doctor`.
bool kernels_isa_select(const char *name);

/// Sets how many threads one operation may use, the caller included; clamped to 1...64. With KERNELS_PIN=1 in the environment, and as many threads
/// as this process may use CPUs, each thread but the caller keeps to a CPU of its own; leave it unset on a machine shared with others.
void kernels_set_threads(int count);
/// How many threads one operation may use.
int kernels_threads(void);

// ---- Measuring, for `palisade bench` ----

/// CPU seconds so far of the threads that compute for the calling one: itself and the pool's.
double kernels_cpu_seconds(void);
/// GOP/s of one core in the loop of 8-bit (AVX2: 16-bit) multiplications that the instruction set in use computes with; 0 where there is none.
double kernels_peak_gops(void);
/// GB/s per CPU second in reading that much memory with all threads; 0 when there is not so much.
double kernels_read_gbps(size_t mebibytes);
/// Memory of so many MiB that reading drives everything else out of the caches with; NULL when there is not so much.
void *kernels_cold_memory(size_t mebibytes);
/// Reads it.
void kernels_make_cold(void *memory, size_t mebibytes);
void kernels_cold_memory_free(void *memory);
/// GOP/s per CPU second of oneDNN's u8 · s8 product of that shape on one thread, without scales; 0 where the library isn't installed.
double kernels_onednn_gops(size_t T, size_t N, size_t K);

// ---- OpenBLAS: which core type it uses, see openblas_core.c ----

/// The core type OpenBLAS uses now.
const char *kernels_blas_core(void);
/// The core type it had chosen by itself before Palisade corrected it; the same as above when there was nothing to correct.
const char *kernels_blas_core_detected(void);
/// The core type that suits a CPU with these features better than `name`; NULL when `name` is right for it.
const char *kernels_blas_core_correction(const char *name, bool has_avx512, bool has_avx2);
/// True when OPENBLAS_CORETYPE was set by the user, who is never overridden.
bool kernels_blas_core_from_user(void);
/// True when a row's bits don't depend on the other rows of a product (law 2 to the bit); elsewhere they agree within 1e-5.
bool kernels_rows_are_exact(void);
/// A core type that suits this CPU's features where the one in use does not; NULL when there is nothing to correct.
const char *kernels_blas_core_better(void);
/// OpenBLAS's version string.
const char *kernels_blas_version(void);
/// Largest relative difference between OpenBLAS and the scalar product over a few awkward shapes (sound: below 1e-5).
double kernels_blas_self_test(void);

// ---- Products ----

/// out[T,N] = x[T,K] · w[N,K]ᵀ + bias[N] (bias may be NULL). Through OpenBLAS, cut into fixed panels so that a row's bits don't depend on T
/// (holds on OpenBLAS's AVX-512 core types; see matmul.c).
void kernel_linear_f32(size_t T, size_t N, size_t K, const float *x, const float *w, const float *bias, float *out);
/// The same with weights in bf16, which become f32 panel by panel: the bits of kernel_linear_f32 with the converted weights.
void kernel_linear_bf16(size_t T, size_t N, size_t K, const float *x, const uint16_t *w, const float *bias, float *out);

/// What becomes of each output of a quantised product, in the same pass over memory.
enum kernel_then {
  KERNEL_STORE,  // out = v
  KERNEL_ADD,    // out += v: the residual stream
  KERNEL_GELU,   // out = gelu(v)
  KERNEL_GEGLU,  // out = gelu(gate) · up; gate and up were packed side by side
};
/// Where rows of weights stand among the outputs: as they come, or as the gates and ups of KERNEL_GEGLU.
enum kernel_place { KERNEL_PLAIN, KERNEL_GATE, KERNEL_UP };

/// Weights [N, K] in packed form, as kernel_quantise_f32 makes it (int8.h says how); N is padded to whole panels in `packed`.
struct kernel_quantised {
  int bits;               // 8, or 4 with a multiplier per 32 inputs
  size_t N, K;            // of KERNEL_GEGLU N counts pairs: gates [N, K] and ups [N, K]
  const uint8_t *packed;  // kernel_quantised_bytes
  const float *scales;    // kernel_quantised_rows
  const int32_t *sums;    // likewise: Σ of each output's quantised weights
};

/// Rows that N outputs take in packed form (N pairs, when `paired`).
size_t kernel_quantised_rows(size_t N, bool paired);
/// Bytes that `rows` packed rows of K weights take.
size_t kernel_quantised_bytes(int bits, size_t rows, size_t K);
/// Quantises and packs rows first...first+rows of weights [N, K]; w holds just those rows. Buffers have been cleared by
/// kernel_quantise_clear. scales and sums are filled for these rows.
void kernel_quantise_f32(
    int bits, enum kernel_place place, size_t first, size_t rows, size_t K, const float *w, uint8_t *packed, float *scales, int32_t *sums);
/// Makes all packed rows zero.
void kernel_quantise_clear(int bits, size_t rows, size_t K, uint8_t *packed, float *scales, int32_t *sums);
/// A norm over rows of a product's inputs: LayerNorm where `b` is there, else Gemma's RMSNorm; as the row operations below have them.
struct kernel_norm {
  const float *w, *b;
  float epsilon;
};
/// out[T,N] = norm(x)[T,K] · w[N,K]ᵀ + bias[N], and then `then`; norm and bias may be NULL. x is quantised row by row on the fly (a scale per row),
/// each row as soon as it has been normalised. Integer sums are exact, so the result of KERNEL_STORE and KERNEL_ADD is the same to the bit for any T
/// and any number of threads, and without a norm on every instruction set (with one on all but the scalar specification).
void kernel_linear_quantised_f32(
    size_t T, const struct kernel_quantised *weights, const float *x, const struct kernel_norm *norm, const float *bias, enum kernel_then then,
    float *out);

// ---- Attention ----

/// Attends every one of T query rows to all S cached positions (bidirectional: the prefix, and the vision tower). One block of query rows
/// and one head at a time: never more than 64 × S scores per thread.
///
/// q [T, H, E], rows q_stride apart; keys and values [S, G, E], rows kv_stride apart; out [T, H, E], rows out_stride apart. H is a multiple
/// of G. Scores are multiplied by `scale`.
void kernel_attend_all_f32(
    size_t T, size_t S, size_t H, size_t G, size_t E, const float *q, size_t q_stride, const float *keys, const float *values, size_t kv_stride,
    float scale, float *out, size_t out_stride);

/// One query row of one request: what a decode step needs. The row sees `S` positions.
struct kernel_decode_row {
  const float *q;       // [H, E]
  const float *keys;    // [S, G, E], rows kv_stride apart
  const float *values;  // [S, G, E]
  float *out;           // [H, E]
  size_t S;
};

/// Attends each row to its own cache; the order of arithmetic depends on that row's S alone.
void kernel_attend_rows_f32(const struct kernel_decode_row *rows, size_t row_count, size_t kv_stride, size_t H, size_t G, size_t E, float scale);

// ---- Row operations ----

/// out = x · rsqrt(mean(x²) + epsilon) · (1 + w): Gemma's RMSNorm (the factor 1 + w is its own).
void kernel_rmsnorm_f32(size_t T, size_t D, const float *x, const float *w, float epsilon, float *out);
/// out = (x − mean) / sqrt(var + epsilon) · w + b, with the biased variance.
void kernel_layernorm_f32(size_t T, size_t D, const float *x, const float *w, const float *b, float epsilon, float *out);
/// x = gelu(x), the tanh approximation ½x(1 + tanh(√(2/π)(x + 0.044715x³))) (Hendrycks & Gimpel 2016).
void kernel_gelu_f32(size_t count, float *x);
/// out[t] = gelu(gate_up[t, 0..<F]) · gate_up[t, F..<2F], rows of gate_up 2F wide (GeGLU, Shazeer 2020).
void kernel_geglu_f32(size_t T, size_t F, const float *gate_up, float *out);
/// x += y.
void kernel_add_f32(size_t count, float *x, const float *y);
/// out = x · factor.
void kernel_scale_f32(size_t count, const float *x, float factor, float *out);
/// Softmax in place over each row of x [T, S].
void kernel_softmax_f32(size_t T, size_t S, float *x);
/// Rotates q or k in place: rows [T, heads, E], rows `stride` apart; row t has position positions[t]. Half-split rotation (first half with
/// second half), angle position · theta^(−2i/E) in f32, as Hugging Face computes it. `inverse_frequencies` has E/2 values.
void kernel_rope_f32(
    size_t T, size_t heads, size_t E, size_t stride, const int32_t *positions, const float *inverse_frequencies, float *x);
/// The index of the largest value, the first of equals.
size_t kernel_argmax_f32(size_t count, const float *x);
/// log Σ exp(x), in double.
double kernel_logsumexp_f32(size_t count, const float *x);

// ---- Conversion ----

/// bf16 and f16 (IEEE 754 half) to f32, exact.
void kernel_convert_bf16_f32(size_t count, const uint16_t *x, float *out);
void kernel_convert_f16_f32(size_t count, const uint16_t *x, float *out);
/// f32 to bf16 and f16, rounded to nearest, ties to even; f16 overflows to infinity. A NaN stays one.
void kernel_convert_f32_bf16(size_t count, const float *x, uint16_t *out);
void kernel_convert_f32_f16(size_t count, const float *x, uint16_t *out);
/// Rows [T, D] to a scale (max |x| / 127, f32) and a byte q + 128 for each value, q = round(x / scale): T · (4 + D) bytes, each row by itself.
/// False when a row has no such scale, because a value is no finite number, or all are too small for one.
bool kernel_encode_int8_rows(size_t T, size_t D, const float *x, uint8_t *out);
/// Back to f32, q · scale. False when a scale is negative, no number, or so large that a product wouldn't be finite.
bool kernel_decode_int8_rows(size_t T, size_t D, const uint8_t *x, float *out);
/// One picture's pixels to patch rows: rgb [side, side, 3] u8 to out [patches, 3 · patch · patch] f32 in the order of a convolution's weight
/// (channel, row, column), value = pixel / 127.5 − 1 in f32 (bit-equal to the reference processor, numerics.md 18).
void kernel_patches_u8_f32(size_t side, size_t patch, const uint8_t *rgb, float *out);

// ---- Random numbers ----

/// out[i] = centre + half_width · u, u uniform in (−1, 1) with 16 bits, for i = first ..< first + count: a function of seed, stream and i
/// alone (Philox4x32-10, Salmon et al. 2011), so that any piece of any tensor can be made at any time.
void kernel_random_f32(uint64_t seed, uint64_t stream, uint64_t first, size_t count, float centre, float half_width, float *out);

#ifdef __cplusplus
}
#endif
#endif
