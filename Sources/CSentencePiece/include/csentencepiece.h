#ifndef PALISADE_CSENTENCEPIECE_H
#define PALISADE_CSENTENCEPIECE_H

// Debian's libsentencepiece behind plain C. No C++ type, exception or status crosses this header:
// every function that can fail returns a csp_status and writes a sentence into the caller's message
// buffer. A loaded model is immutable, so any number of threads may use one at once.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  CSP_MODEL_BYTES_MAX = 64 << 20,  // Gemma's tokenizer.model has 4.2 MB
  CSP_TEXT_BYTES_MAX = 1 << 20,    // one text to encode
  CSP_IDS_MAX = 1 << 20,           // one list of ids to decode
  CSP_PIECES_MAX = 1 << 20,        // Gemma has 256,000
  CSP_PIECE_BYTES_MAX = 1024,      // one piece
  CSP_MESSAGE_BYTES = 256,         // what a message buffer should hold
};

typedef enum {
  CSP_OK = 0,
  CSP_UNREADABLE = 1,     // the file cannot be opened or read
  CSP_INVALID_MODEL = 2,  // not a sentencepiece model, or a broken one
  CSP_UNSUPPORTED = 3,    // a sound model, but not in Gemma's manner
  CSP_TOO_LARGE = 4,      // over one of the bounds above
  CSP_INVALID_ARGUMENT = 5,
  CSP_FAILED = 6,         // libsentencepiece refused, or memory is out
} csp_status;

typedef enum {
  CSP_PIECE_NONE = 0,  // no piece has this id
  CSP_PIECE_NORMAL = 1,
  CSP_PIECE_UNKNOWN = 2,
  CSP_PIECE_CONTROL = 3,
  CSP_PIECE_USER_DEFINED = 4,
  CSP_PIECE_UNUSED = 5,
  CSP_PIECE_BYTE = 6,
} csp_piece_type;

typedef struct csp_model csp_model;

// Reads a tokenizer.model. Refused as CSP_UNSUPPORTED: anything but BPE with escaped spaces and
// without dummy prefix, whitespace removal or character map, because Hugging Face's GemmaTokenizer
// does none of these whatever the file says, and its ids are the ones the model was trained on.
csp_status csp_load_file(const char *path, csp_model **model, char *message, size_t message_bytes);
csp_status csp_load_bytes(const void *bytes, size_t byte_count, csp_model **model, char *message,
                          size_t message_bytes);
void csp_free(csp_model *model);

int32_t csp_piece_count(const csp_model *model);

// The UTF-8 of a piece, owned by the model; NULL when no piece has this id.
const char *csp_piece(const csp_model *model, int32_t id, size_t *byte_count);
csp_piece_type csp_type(const csp_model *model, int32_t id);

// The id of the piece with exactly these bytes, -1 when there is none.
int32_t csp_id(const csp_model *model, const char *piece, size_t byte_count);

// Text to ids. *ids is for csp_release(); it is NULL when *id_count is 0.
csp_status csp_encode(const csp_model *model, const char *text, size_t byte_count, int32_t **ids,
                      size_t *id_count, char *message, size_t message_bytes);

// Ids to bytes, as libsentencepiece does it. *text is for csp_release(); NULL when empty.
csp_status csp_decode(const csp_model *model, const int32_t *ids, size_t id_count, char **text,
                      size_t *byte_count, char *message, size_t message_bytes);

void csp_release(void *memory);

#ifdef __cplusplus
}
#endif

#endif
