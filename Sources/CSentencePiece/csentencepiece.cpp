#include "csentencepiece.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "model_file.h"

struct csp_model {
  sentencepiece::SentencePieceProcessor processor;
  palisade::ModelFile file;
};

namespace {

csp_status fail(csp_status status, std::string_view why, char *message, size_t message_bytes) {
  if (message != nullptr && message_bytes > 0) {
    const size_t count = std::min(why.size(), message_bytes - 1);
    std::memcpy(message, why.data(), count);
    message[count] = '\0';
  }
  return status;
}

// Runs `body`, and turns whatever it throws into a status: nothing may unwind into C or Swift.
template <typename Body>
csp_status guarded(char *message, size_t message_bytes, Body body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return fail(CSP_FAILED, "out of memory", message, message_bytes);
  } catch (const std::exception &error) {
    return fail(CSP_FAILED, error.what(), message, message_bytes);
  } catch (...) {
    return fail(CSP_FAILED, "an exception of unknown type", message, message_bytes);
  }
}

csp_status load(std::string_view bytes, csp_model **out, char *message, size_t message_bytes) {
  std::string why;
  auto model = std::make_unique<csp_model>();
  const csp_status status = model->file.read(bytes, why);
  if (status != CSP_OK) return fail(status, why, message, message_bytes);
  const auto loaded = model->processor.LoadFromSerializedProto(bytes);
  if (!loaded.ok()) return fail(CSP_INVALID_MODEL, loaded.message(), message, message_bytes);
  const int count = model->processor.GetPieceSize();
  if (count < 0 || static_cast<size_t>(count) != model->file.piece_types.size()) {
    return fail(CSP_INVALID_MODEL, "two readings of the piece count differ", message,
                message_bytes);
  }
  *out = model.release();
  return CSP_OK;
}

bool has_piece(const csp_model *model, int32_t id) {
  return model != nullptr && id >= 0 && static_cast<size_t>(id) < model->file.piece_types.size();
}

// A copy the caller frees with csp_release().
template <typename Element>
Element *copied(const Element *elements, size_t count) {
  if (count == 0) return nullptr;
  auto *copy = static_cast<Element *>(std::malloc(count * sizeof(Element)));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, elements, count * sizeof(Element));
  return copy;
}

}  // namespace

extern "C" {

csp_status csp_load_bytes(const void *bytes, size_t byte_count, csp_model **model, char *message,
                          size_t message_bytes) {
  if (bytes == nullptr || model == nullptr) {
    return fail(CSP_INVALID_ARGUMENT, "a null pointer", message, message_bytes);
  }
  *model = nullptr;
  if (byte_count > CSP_MODEL_BYTES_MAX) {
    return fail(CSP_TOO_LARGE, "the model is larger than 64 MiB", message, message_bytes);
  }
  return guarded(message, message_bytes, [&] {
    return load({static_cast<const char *>(bytes), byte_count}, model, message, message_bytes);
  });
}

csp_status csp_load_file(const char *path, csp_model **model, char *message,
                         size_t message_bytes) {
  if (path == nullptr || model == nullptr) {
    return fail(CSP_INVALID_ARGUMENT, "a null pointer", message, message_bytes);
  }
  *model = nullptr;
  return guarded(message, message_bytes, [&] {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail(CSP_UNREADABLE, "cannot be opened", message, message_bytes);
    std::string bytes;
    std::vector<char> chunk(1 << 16);
    while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())), file.gcount() > 0) {
      bytes.append(chunk.data(), static_cast<size_t>(file.gcount()));
      if (bytes.size() > CSP_MODEL_BYTES_MAX) {
        return fail(CSP_TOO_LARGE, "the model is larger than 64 MiB", message, message_bytes);
      }
    }
    if (!file.eof()) return fail(CSP_UNREADABLE, "cannot be read", message, message_bytes);
    return load(bytes, model, message, message_bytes);
  });
}

void csp_free(csp_model *model) { delete model; }

int32_t csp_piece_count(const csp_model *model) {
  return model == nullptr ? 0 : static_cast<int32_t>(model->file.piece_types.size());
}

const char *csp_piece(const csp_model *model, int32_t id, size_t *byte_count) {
  if (byte_count == nullptr || !has_piece(model, id)) return nullptr;
  const std::string &piece = model->processor.IdToPiece(id);
  *byte_count = piece.size();
  return piece.data();
}

csp_piece_type csp_type(const csp_model *model, int32_t id) {
  if (!has_piece(model, id)) return CSP_PIECE_NONE;
  return static_cast<csp_piece_type>(model->file.piece_types[static_cast<size_t>(id)]);
}

int32_t csp_id(const csp_model *model, const char *piece, size_t byte_count) {
  if (model == nullptr || piece == nullptr) return -1;
  const std::string_view wanted(piece, byte_count);
  const int id = model->processor.PieceToId(wanted);
  // PieceToId answers the unknown piece's id for anything it has not: compare the text.
  if (!has_piece(model, id) || model->processor.IdToPiece(id) != wanted) return -1;
  return id;
}

csp_status csp_encode(const csp_model *model, const char *text, size_t byte_count, int32_t **ids,
                      size_t *id_count, char *message, size_t message_bytes) {
  if (model == nullptr || (text == nullptr && byte_count > 0) || ids == nullptr ||
      id_count == nullptr) {
    return fail(CSP_INVALID_ARGUMENT, "a null pointer", message, message_bytes);
  }
  *ids = nullptr;
  *id_count = 0;
  if (byte_count == 0) return CSP_OK;
  if (byte_count > CSP_TEXT_BYTES_MAX) {
    return fail(CSP_TOO_LARGE, "the text is larger than 1 MiB", message, message_bytes);
  }
  return guarded(message, message_bytes, [&] {
    std::vector<int> pieces;
    const auto status = model->processor.Encode(std::string_view(text, byte_count), &pieces);
    if (!status.ok()) return fail(CSP_FAILED, status.message(), message, message_bytes);
    static_assert(sizeof(int) == sizeof(int32_t), "libsentencepiece's ids are ints");
    *ids = copied(pieces.data(), pieces.size());
    *id_count = pieces.size();
    return CSP_OK;
  });
}

csp_status csp_decode(const csp_model *model, const int32_t *ids, size_t id_count, char **text,
                      size_t *byte_count, char *message, size_t message_bytes) {
  if (model == nullptr || (ids == nullptr && id_count > 0) || text == nullptr ||
      byte_count == nullptr) {
    return fail(CSP_INVALID_ARGUMENT, "a null pointer", message, message_bytes);
  }
  *text = nullptr;
  *byte_count = 0;
  if (id_count > CSP_IDS_MAX) {
    return fail(CSP_TOO_LARGE, "more than 1,048,576 ids", message, message_bytes);
  }
  return guarded(message, message_bytes, [&] {
    std::vector<int> pieces;
    pieces.reserve(id_count);
    for (size_t index = 0; index < id_count; ++index) {
      if (!has_piece(model, ids[index])) {
        return fail(CSP_INVALID_ARGUMENT, "an id without a piece", message, message_bytes);
      }
      pieces.push_back(ids[index]);
    }
    std::string result;
    const auto status = model->processor.Decode(pieces, &result);
    if (!status.ok()) return fail(CSP_FAILED, status.message(), message, message_bytes);
    *text = copied(result.data(), result.size());
    *byte_count = result.size();
    return CSP_OK;
  });
}

void csp_release(void *memory) { std::free(memory); }

}  // extern "C"
