#include "model_file.h"

#include <cstddef>

// Field numbers are those of sentencepiece_model.proto (v0.1.97).

namespace palisade {
namespace {

// Reads protobuf fields off a byte string; `ok` turns false at the first malformed one.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : rest_(bytes) {}

  uint64_t number = 0;  // of the current field
  uint64_t value = 0;   // when it is a varint
  std::string_view bytes;  // when it has a length
  bool is_varint = false;
  bool has_length = false;
  bool ok = true;

  bool next() {
    is_varint = has_length = false;
    if (!ok || rest_.empty()) return false;
    uint64_t key = 0;
    if (!varint(key)) return ok = false;
    number = key >> 3;
    if (number == 0) return ok = false;
    switch (key & 7) {
      case 0:
        is_varint = true;
        return ok = varint(value);
      case 1:
        return ok = skip(8);
      case 2: {
        uint64_t length = 0;
        if (!varint(length) || length > rest_.size()) return ok = false;
        has_length = true;
        bytes = rest_.substr(0, static_cast<size_t>(length));
        return ok = skip(static_cast<size_t>(length));
      }
      case 5:
        return ok = skip(4);
      default:  // groups: sentencepiece has none
        return ok = false;
    }
  }

 private:
  std::string_view rest_;

  bool skip(size_t count) {
    if (count > rest_.size()) return false;
    rest_.remove_prefix(count);
    return true;
  }

  bool varint(uint64_t &result) {
    result = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      result |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return true;
    }
    return false;
  }
};

struct Manner {  // defaults of the .proto
  uint64_t model_type = 1;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool treat_whitespace_as_suffix = false;
  bool has_character_map = false;
};

bool read_piece(std::string_view bytes, uint8_t &type, std::string &why) {
  Fields fields(bytes);
  std::string_view piece;
  uint64_t kind = CSP_PIECE_NORMAL;
  while (fields.next()) {
    if (fields.number == 1 && fields.has_length) piece = fields.bytes;
    if (fields.number == 3 && fields.is_varint) kind = fields.value;
  }
  if (!fields.ok || kind < CSP_PIECE_NORMAL || kind > CSP_PIECE_BYTE) {
    why = "a piece is malformed";
  } else if (piece.empty() || piece.size() > CSP_PIECE_BYTES_MAX) {
    why = "a piece is empty or longer than " + std::to_string(CSP_PIECE_BYTES_MAX) + " bytes";
  } else if (piece.find('\0') != std::string_view::npos) {
    why = "a piece holds a NUL byte";  // libsentencepiece's trie takes C strings
  } else {
    type = static_cast<uint8_t>(kind);
    return true;
  }
  return false;
}

bool read_trainer(std::string_view bytes, Manner &manner) {
  Fields fields(bytes);
  while (fields.next()) {
    if (!fields.is_varint) continue;
    if (fields.number == 3) manner.model_type = fields.value;
    if (fields.number == 24) manner.treat_whitespace_as_suffix = fields.value != 0;
  }
  return fields.ok;
}

bool read_normalizer(std::string_view bytes, Manner &manner) {
  Fields fields(bytes);
  while (fields.next()) {
    if (fields.number == 2 && fields.has_length && !fields.bytes.empty()) {
      manner.has_character_map = true;
    }
    if (!fields.is_varint) continue;
    if (fields.number == 3) manner.add_dummy_prefix = fields.value != 0;
    if (fields.number == 4) manner.remove_extra_whitespaces = fields.value != 0;
    if (fields.number == 5) manner.escape_whitespaces = fields.value != 0;
  }
  return fields.ok;
}

csp_status judge(const Manner &manner, bool denormalizer_has_map, std::string &why) {
  why.clear();
  if (manner.model_type != 2) why += " it is not a BPE model;";
  if (manner.add_dummy_prefix) why += " add_dummy_prefix is on;";
  if (manner.remove_extra_whitespaces) why += " remove_extra_whitespaces is on;";
  if (!manner.escape_whitespaces) why += " escape_whitespaces is off;";
  if (manner.treat_whitespace_as_suffix) why += " treat_whitespace_as_suffix is on;";
  if (manner.has_character_map || denormalizer_has_map) why += " it has a character map;";
  if (why.empty()) return CSP_OK;
  why.pop_back();
  why = "not a tokenizer in Gemma's manner:" + why;
  return CSP_UNSUPPORTED;
}

}  // namespace

csp_status ModelFile::read(std::string_view bytes, std::string &why) {
  Manner manner;
  Manner denormalizer;
  Fields fields(bytes);
  while (fields.next()) {
    if (!fields.has_length) continue;
    bool sound = true;
    if (fields.number == 1) {
      uint8_t type = 0;
      if (!read_piece(fields.bytes, type, why)) return CSP_INVALID_MODEL;
      if (piece_types.size() == CSP_PIECES_MAX) {
        why = "more than " + std::to_string(CSP_PIECES_MAX) + " pieces";
        return CSP_TOO_LARGE;
      }
      piece_types.push_back(type);
    } else if (fields.number == 2) {
      sound = read_trainer(fields.bytes, manner);
    } else if (fields.number == 3) {
      sound = read_normalizer(fields.bytes, manner);
    } else if (fields.number == 5) {
      sound = read_normalizer(fields.bytes, denormalizer);
    }
    if (!sound) {
      why = "a settings field is malformed";
      return CSP_INVALID_MODEL;
    }
  }
  if (!fields.ok || piece_types.empty()) {
    why = "not a sentencepiece model, or cut short";
    return CSP_INVALID_MODEL;
  }
  return judge(manner, denormalizer.has_character_map, why);
}

}  // namespace palisade
