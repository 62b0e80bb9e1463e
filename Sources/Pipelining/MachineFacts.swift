import Foundation

/// What the kernel says of this machine; every reading may be absent, none fails.
public enum MachineFacts {
  /// Memory in bytes.
  public struct Memory: Sendable, Equatable {
    /// All there is.
    public let total: Int
    /// What could be given without swapping.
    public let available: Int
    /// The limit of this process's control group, where it has one.
    public let limit: Int?

    /// What was read, or what a test says was.
    public init(total: Int, available: Int, limit: Int?) {
      (self.total, self.available, self.limit) = (total, available, limit)
    }
  }

  /// The CPU's name, or its part number where the kernel knows no name.
  public static var cpuModel: String {
    let text = read("/proc/cpuinfo")
    return field("model name", in: text) ?? field("CPU part", in: text) ?? "unknown"
  }

  /// This machine's memory.
  public static var memory: Memory? {
    let text = read("/proc/meminfo")
    guard let total = kilobytes("MemTotal", in: text),
      let available = kilobytes("MemAvailable", in: text)
    else { return nil }
    return Memory(total: total, available: available, limit: group("max"))
  }

  /// Bytes that this machine, or this process's control group, could still give; 0 where the system
  /// doesn't say.
  static var freeBytes: Int {
    guard let memory else { return 0 }
    let left = memory.limit.map { max(0, $0 - (group("current") ?? 0)) }
    return min(memory.available, left ?? .max)
  }

  /// Where this user's caches are, as XDG's rules have it.
  static var cacheFolder: String {
    let base = ProcessInfo.processInfo.environment["XDG_CACHE_HOME"]
      .flatMap { $0.hasPrefix("/") ? $0 : nil }
    return (base ?? NSHomeDirectory() + "/.cache") + "/palisade"
  }

  /// A number of the control group's memory; nil where there is none, as the word "max" says.
  private static func group(_ name: String) -> Int? {
    Int(read("/sys/fs/cgroup/memory." + name).trimmingCharacters(in: .whitespacesAndNewlines))
  }

  private static func kilobytes(_ name: String, in text: String) -> Int? {
    field(name, in: text)?.split(separator: " ").first.flatMap { Int($0) }.map { $0 * 1024 }
  }

  /// A file of the kernel's; empty where it can't be read.
  public static func read(_ path: String) -> String {
    // By a handle: files of /proc come in pieces, and `contents(atPath:)` lost /proc/self/maps.
    let content = try? FileHandle(forReadingAtPath: path)?.readToEnd()
    return content.map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// The value of the first line `name : value`.
  public static func field(_ name: String, in text: String) -> String? {
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      if parts.count == 2, parts[0].trimmingCharacters(in: .whitespaces) == name {
        return parts[1].trimmingCharacters(in: .whitespaces)
      }
    }
    return nil
  }
}
