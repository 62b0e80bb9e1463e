#include <stdlib.h>

#include "wire_support.h"

static void *budget_alloc(void *data, size_t size) {
  struct wire_budget *budget = data;
  if (size > budget->remaining) return NULL;
  budget->remaining -= size;
  return malloc(size);
}

static void budget_free(void *data, void *pointer) {
  (void)data;
  free(pointer);
}

ProtobufCAllocator wire_budget_allocator(struct wire_budget *budget) {
  ProtobufCAllocator allocator = {budget_alloc, budget_free, budget};
  return allocator;
}
