import Foundation
import Synchronization

/// A cluster on this machine for as long as a measurement takes: processes of this same binary, ended
/// by their ids.
final class BenchCluster: Sendable {
  /// A temporary folder, removed in the end.
  let folder: URL
  /// Where clients of the cluster connect.
  let endpoint: String
  /// Where clients of HTTP connect; "" without.
  let url: String
  /// The coordinator's process id.
  let coordinator: Int32
  /// The workers' process ids.
  let workers: [Int32]
  private let processes: Mutex<[Process]>

  /// Starts a coordinator and its workers, and waits until a token has gone through all stages.
  ///
  /// - Parameters:
  ///   - model: the model's folder.
  ///   - vision: workers of the vision stage.
  ///   - shards: workers of the decoder.
  ///   - threads: of each worker.
  ///   - hasHTTP: whether the coordinator serves HTTP too.
  ///   - serveOptions: further options of `palisade serve`.
  /// - Throws: when they don't get ready, with what they said.
  init(
    model: String, vision: Int, shards: Int, threads: Int, hasHTTP: Bool = false,
    serveOptions: [String] = []
  ) async throws {
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "palisade-bench-\(UUID().uuidString.prefix(8))", directoryHint: .isDirectory)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    self.folder = folder
    let endpoint = "ipc://" + folder.appending(path: "c").path(percentEncoded: false)
    self.endpoint = endpoint
    let urlFile = folder.appending(path: "url")
    var started: [Process] = []
    do {
      let http =
        hasHTTP
        ? ["--http", "127.0.0.1:0", "--http-file", urlFile.path(percentEncoded: false)] : []
      started.append(
        try Self.start(
          ["serve", "--model", model, "--workers", "\(vision)+\(shards)", "--endpoint", endpoint]
            + http + serveOptions, in: folder))
      for index in 0..<vision + shards {
        started.append(
          try Self.start(
            [
              "worker", "--coordinator", endpoint, "--name", "w\(index)", "--threads",
              "\(threads)",
            ], in: folder))
      }
      try await ClusterReadiness.wait(endpoint, seconds: 120)
      url = hasHTTP ? try Self.text(of: urlFile) : ""
    } catch {
      Self.end(started, folder)
      throw error
    }
    coordinator = started[0].processIdentifier
    workers = started.dropFirst().map(\.processIdentifier)
    processes = Mutex(started)
  }

  /// Starts this binary with `arguments`, on `cores` alone if some are named; what it says goes to a file of
  /// the folder.
  static func start(
    _ arguments: [String], in folder: URL, cores: [Int] = []
  ) throws -> Process {
    let log = folder.appending(path: "log").path(percentEncoded: false)
    if !FileManager.default.fileExists(atPath: log) {
      _ = FileManager.default.createFile(atPath: log, contents: nil)
    }
    let process = Process()
    let program = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    process.executableURL = program
    process.arguments = arguments
    if !cores.isEmpty {
      // It becomes the program, so that its pid is the program's; threads inherit the cores.
      let taskset = "/usr/bin/taskset"
      guard FileManager.default.isExecutableFile(atPath: taskset) else {
        throw CommandFailure("there is no \(taskset) to pin processes with; install util-linux")
      }
      process.executableURL = URL(filePath: taskset)
      process.arguments =
        ["--cpu-list", cores.map(String.init).joined(separator: ","), program.path()] + arguments
    }
    process.standardInput = FileHandle.nullDevice
    let handle = FileHandle(forWritingAtPath: log)
    try handle?.seekToEnd()
    (process.standardOutput, process.standardError) = (handle, handle)
    try process.run()
    return process
  }

  /// Ends all processes and removes the folder.
  func end() {
    processes.withLock {
      Self.end($0, folder)
      $0 = []
    }
  }

  private static func text(of file: URL) throws -> String {
    try String(contentsOf: file, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Ends what doesn't end by itself within `patience`, by its id, and removes the folder.
  static func end(_ processes: [Process], _ folder: URL, patience: Duration = .zero) {
    let rest = ContinuousClock.now + patience
    while processes.contains(where: \.isRunning), ContinuousClock.now < rest { usleep(10_000) }
    for process in processes where process.isRunning { process.terminate() }
    let deadline = ContinuousClock.now + .seconds(20)
    for process in processes {
      while process.isRunning, ContinuousClock.now < deadline { usleep(10_000) }
      if process.isRunning { kill(process.processIdentifier, SIGKILL) }
      process.waitUntilExit()
    }
    try? FileManager.default.removeItem(at: folder)
  }
}
