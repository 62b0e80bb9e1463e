import Foundation

/// Steady time, in no relation to the calendar.
enum Clock {
  /// Nanoseconds since some point in the past.
  static var nanoseconds: UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Milliseconds since the same point.
  static var milliseconds: Int { Int(nanoseconds / 1_000_000) }
}
