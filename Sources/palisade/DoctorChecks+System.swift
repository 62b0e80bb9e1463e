import Foundation
import Pipelining

extension DoctorChecks {
  /// Bytes below which not even the demo model and its pictures are comfortable.
  private static let leastMemory = 1_000_000_000

  /// Memory and how it is paged.
  static func memory() -> [DoctorCheck] {
    [memory(MachineFacts.memory), hugePages(HostFacts.hugePages)]
  }

  static func memory(_ memory: MachineFacts.Memory?) -> DoctorCheck {
    guard let memory else {
      return DoctorCheck(
        "memory", .warn, "unknown", remedy: "is /proc mounted? Palisade can't see what is free")
    }
    let free = min(memory.available, memory.limit ?? .max)
    var value = "\(Readable.bytes(memory.total)), \(Readable.bytes(memory.available)) available"
    if let limit = memory.limit { value += ", limited to \(Readable.bytes(limit)) for this group" }
    if free >= leastMemory { return DoctorCheck("memory", value) }
    return DoctorCheck(
      "memory", .warn, value, remedy: "end other programs, or use more workers with fewer layers")
  }

  static func hugePages(_ setting: String?) -> DoctorCheck {
    let remedy =
      "decoding reads weights 12 to 24 % faster from huge pages: as root, "
      + "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
    guard let setting else { return DoctorCheck("huge pages", "not told by this kernel") }
    return setting == "never"
      ? DoctorCheck("huge pages", .warn, setting, remedy: remedy)
      : DoctorCheck("huge pages", setting)
  }

  /// Files, folders and ports.
  static func system() -> [DoctorCheck] {
    [
      openFiles(HostFacts.openFileLimit), loopback(HostFacts.loopbackFailure()),
      folder(
        "temporary folder", NSTemporaryDirectory(), .fail,
        remedy: "give TMPDIR a folder that may be written"),
      folder(
        "shared memory", "/dev/shm", .warn,
        remedy: "mount a tmpfs at /dev/shm (docker: --shm-size)"),
    ]
  }

  static func openFiles(_ limit: Int?) -> DoctorCheck {
    guard let limit else {
      return DoctorCheck("open files", .warn, "unknown", remedy: "see ulimit -n")
    }
    // Each worker takes a few sockets, each checkpoint file one mapping, ZeroMQ some of its own.
    if limit >= 1024 { return DoctorCheck("open files", "at most \(limit)") }
    return DoctorCheck(
      "open files", .warn, "at most \(limit)", remedy: "ulimit -n 4096 before starting palisade")
  }

  static func loopback(_ failure: String?) -> DoctorCheck {
    guard let failure else { return DoctorCheck("loopback ports", "can listen on 127.0.0.1") }
    return DoctorCheck(
      "loopback ports", .fail, "cannot listen on 127.0.0.1: \(failure)",
      remedy: "ip link set lo up, and look at the rules of the firewall or sandbox")
  }

  static func folder(
    _ name: String, _ path: String, _ severity: DoctorCheck.Status, remedy: String
  ) -> DoctorCheck {
    guard let failure = HostFacts.writeFailure(in: path) else {
      return DoctorCheck(name, "\(path) is writable, \(HostFacts.freeSpace(in: path)) free")
    }
    return DoctorCheck(name, severity, "\(path): \(failure)", remedy: remedy)
  }
}
