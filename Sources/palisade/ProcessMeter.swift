import Foundation

/// What the system says another process uses.
struct ProcessMeter {
  /// Its id.
  let pid: Int32

  /// Bytes in RAM now; 0 when there is no such process.
  var residentBytes: Int {
    let fields = text("statm").split(separator: " ")
    return fields.count > 1 ? (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
  }

  /// Most bytes in RAM so far.
  var peakBytes: Int {
    let line = text("status").split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return 1024 * (line.flatMap { Int($0.filter(\.isNumber)) } ?? 0)
  }

  /// CPU seconds by kind of thread: threads whose names differ in their number alone are one kind.
  var cpuSeconds: [String: Double] {
    var seconds: [String: Double] = [:]
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
    for task in tasks {
      let stat = text("task/\(task)/stat")
      // The name is in brackets and may hold any character; utime and stime are 12th and 13th behind.
      guard let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")") else {
        continue
      }
      let name = stat[stat.index(after: open)..<close]
      let fields = stat[stat.index(after: close)...].split(separator: " ")
      guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12])
      else { continue }
      let kind = String(name.prefix { !$0.isNumber && $0 != "#" })
        .trimmingCharacters(in: CharacterSet(charactersIn: "- "))
      seconds[kind.isEmpty ? String(name) : kind, default: 0] +=
        (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
    return seconds
  }

  private func text(_ name: String) -> String {
    (try? String(contentsOfFile: "/proc/\(pid)/\(name)", encoding: .utf8)) ?? ""
  }
}
