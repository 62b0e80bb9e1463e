// What the generated protobuf-c code does not bring: a checksum, and memory with a budget.
#ifndef PALISADE_WIRE_SUPPORT_H
#define PALISADE_WIRE_SUPPORT_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

/// XXH3-64 with seed 0 of `byte_count` bytes. `bytes` may be null when `byte_count` is 0.
uint64_t wire_checksum(const void *bytes, size_t byte_count);

/// How many bytes an unpacking may still allocate. Never credited back: it bounds one message.
struct wire_budget {
  size_t remaining;
};

/// An allocator that fails once `budget` is spent; protobuf-c then gives up with NULL.
ProtobufCAllocator wire_budget_allocator(struct wire_budget *budget);

#endif
