import Foundation

/// What this process has in RAM.
enum ProcessMemory {
  /// Bytes; 0 where the system doesn't say.
  static var residentBytes: Int {
    // Fields in pages: total, resident, …
    guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8),
      let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return 0 }
    return pages * sysconf(Int32(_SC_PAGESIZE))
  }
}
