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

  /// Bytes that this machine, or this process's control group, could still give; 0 where the system
  /// doesn't say.
  static var freeBytes: Int {
    guard let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
      let kilobytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return 0 }
    let group = "/sys/fs/cgroup/memory."
    func number(_ name: String) -> Int? {
      (try? String(contentsOfFile: group + name, encoding: .utf8))
        .flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }
    let left = number("max").map { max(0, $0 - (number("current") ?? 0)) }
    return min(kilobytes * 1024, left ?? .max)
  }
}
