#ifndef PALISADE_MODEL_FILE_H
#define PALISADE_MODEL_FILE_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "csentencepiece.h"

namespace palisade {

// What Palisade wants to know of a tokenizer.model before libsentencepiece sees it. The library's
// own headers hide these fields, and its loader trusts some of them (the character map most of all).
struct ModelFile {
  std::vector<uint8_t> piece_types;  // csp_piece_type by id

  // Walks the protobuf, checks every length, and says in `why` what is wrong.
  csp_status read(std::string_view bytes, std::string &why);
};

}  // namespace palisade

#endif
