import Foundation
import Pipelining

/// What the system says of this machine; every reading may be absent, none fails.
enum HostFacts {
  static func variable(_ name: String) -> String? { ProcessInfo.processInfo.environment[name] }

  /// Features of the CPU that matter to the kernels, in the kernel's own words.
  static var cpuFeatures: [String] {
    let interesting = [
      "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512dq",
      "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
      "asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2",
    ]
    let text = MachineFacts.read("/proc/cpuinfo")
    let line =
      MachineFacts.field("flags", in: text) ?? MachineFacts.field("Features", in: text) ?? ""
    let flags = Set(line.split(separator: " ").map(String.init))
    return interesting.filter { flags.contains($0) }
  }

  /// The chosen one of `always [madvise] never`.
  static var hugePages: String? {
    MachineFacts.read("/sys/kernel/mm/transparent_hugepage/enabled").split(separator: "[").last
      .flatMap { $0.contains("]") ? $0.prefix { $0 != "]" } : nil }.map(String.init)
  }

  static var openFileLimit: Int? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) == 0 else {
      return nil
    }
    return Int(clamping: limit.rlim_cur)
  }

  /// The file of a loaded library whose name starts with `prefix`.
  static func loadedLibrary(_ prefix: String) -> String? {
    MachineFacts.read("/proc/self/maps").split(separator: "\n").compactMap { line in
      line.split(separator: " ").last.map(String.init)
    }.first { $0.split(separator: "/").last?.hasPrefix(prefix) == true }
  }

  /// Why no TCP port of 127.0.0.1 can be listened on; nil when one can.
  static func loopbackFailure() -> String? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return String(cString: strerror(errno)) }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, size) }
    }
    return bound == 0 && listen(descriptor, 1) == 0 ? nil : String(cString: strerror(errno))
  }

  /// Why no file can be made in `folder`; nil when one can, and was removed again.
  static func writeFailure(in folder: String) -> String? {
    var template = Array((folder + "/palisade-doctor-XXXXXX").utf8CString)
    let descriptor = mkstemp(&template)
    guard descriptor >= 0 else { return String(cString: strerror(errno)) }
    close(descriptor)
    unlink(template)
    return nil
  }

  static func freeSpace(in folder: String) -> String {
    var space = statvfs()
    guard statvfs(folder, &space) == 0 else { return "unknown" }
    let (free, overflow) = Int(space.f_bavail).multipliedReportingOverflow(by: Int(space.f_frsize))
    return overflow ? "unknown" : Readable.bytes(free)
  }
}
