import CProcess
import Foundation

/// How the C library's heap is shared by the threads of a service.
enum HeapPolicy {
  /// One heap for each core, in place of eight: requests wander over Swift's threads, and what one frees in
  /// a heap of its own the next cannot use. With eight heaps a coordinator under 200 clients went up and
  /// down by a tenth; with two on two cores it stays within 3 % (LOG.md, 2026-11-29).
  static func shareHeaps() {
    _ = mallopt(M_ARENA_MAX, Int32(clamping: ProcessInfo.processInfo.activeProcessorCount))
  }
}
