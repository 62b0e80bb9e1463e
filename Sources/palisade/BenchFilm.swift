import Foundation

/// Films that measurements are made with, and the ffmpeg that makes and sends them.
enum BenchFilm {
  /// Draws ffmpeg's moving test pattern as H.264.
  static func draw(_ path: String, size: String, rate: Int, seconds: Int) async throws {
    try await ffmpeg([
      "-f", "lavfi", "-i", "testsrc2=size=\(size):rate=\(rate):duration=\(seconds)", "-c:v",
      "libx264", "-preset", "ultrafast", "-g", "\(rate)", "-pix_fmt", "yuv420p", path,
    ])
  }

  /// Starts ffmpeg.
  static func start(_ arguments: [String]) throws -> Process {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["ffmpeg", "-y", "-nostdin", "-loglevel", "error"] + arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    return process
  }

  /// Runs ffmpeg to its end.
  static func ffmpeg(_ arguments: [String]) async throws {
    let process = try start(arguments)
    while process.isRunning {
      if Task.isCancelled { process.terminate() }
      try? await Task.sleep(for: .milliseconds(20))
    }
    try Task.checkCancellation()
    guard process.terminationStatus == 0 else {
      throw CommandFailure("ffmpeg could not make the film; is it installed, with libx264?")
    }
  }

  /// Ends one that runs on. It has nothing to save, so it is killed: ffmpeg may take its time over SIGTERM.
  static func end(_ process: Process) {
    kill(process.processIdentifier, SIGKILL)
    let deadline = ContinuousClock.now + .seconds(10)
    while process.isRunning, ContinuousClock.now < deadline { usleep(10_000) }
  }

  /// A UDP port of this machine that is free now.
  static func freePort() throws -> UInt16 {
    let descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    guard isBound else { throw CommandFailure("there is no free UDP port") }
    return UInt16(bigEndian: address.sin_port)
  }
}
