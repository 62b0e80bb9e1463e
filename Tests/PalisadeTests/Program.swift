import Foundation
import Synchronization
import Testing

/// The built `palisade`, run as a user runs it: real processes, ended by pid.
struct Program {
  /// The repository's folder.
  static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  static let demo = root.appending(path: "cluster/demo").path()
  static let model = demo + "/model"

  /// The binary beside the test bundle that runs.
  static let path: String = {
    let bundle = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    let beside = bundle.appending(path: "palisade").path()
    return FileManager.default.isExecutableFile(atPath: beside)
      ? beside : root.appending(path: ".build/debug/palisade").path()
  }()

  /// A process that was started, with its output in files of its own folder.
  final class Running: Sendable {
    let pid: Int32
    let folder: URL
    private let process: Mutex<Process>

    fileprivate init(_ process: sending Process, folder: URL) {
      pid = process.processIdentifier
      self.folder = folder
      self.process = Mutex(process)
    }
    var isRunning: Bool { process.withLock { $0.isRunning } }
    func signal(_ number: Int32) { if isRunning { kill(pid, number) } }
    var output: String { text("stdout") }
    var errors: String { text("stderr") }
    private func text(_ name: String) -> String {
      (try? String(contentsOf: folder.appending(path: name), encoding: .utf8)) ?? ""
    }

    /// Waits for its end, at most `seconds`; then it is killed and -1 returned.
    func ended(within seconds: Double = 120) async -> Int32 {
      let deadline = ContinuousClock.now + .seconds(seconds)
      while isRunning {
        guard ContinuousClock.now < deadline else {
          kill(pid, SIGKILL)
          return -1
        }
        try? await Task.sleep(for: .milliseconds(10))
      }
      return process.withLock { $0.terminationStatus }
    }
  }

  /// Starts `palisade` with `arguments`, in a network namespace if one is named.
  static func start(
    _ arguments: [String], environment: [String: String] = [:], host: String? = nil,
    input: FileHandle = .nullDevice
  ) throws -> Running {
    let folder = try temporaryFolder()
    let process = Process()
    // `ip netns exec` becomes the program, so that its pid is the program's.
    process.executableURL = URL(filePath: host == nil ? path : "/usr/sbin/ip")
    process.arguments = (host.map { ["netns", "exec", $0, path] } ?? []) + arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.standardInput = input
    for (name, isOutput) in [("stdout", true), ("stderr", false)] {
      let file = folder.appending(path: name).path()
      try Data().write(to: URL(filePath: file))
      let handle = FileHandle(forWritingAtPath: file)
      if isOutput { process.standardOutput = handle } else { process.standardError = handle }
    }
    try process.run()
    return Running(process, folder: folder)
  }

  /// Runs `palisade` to its end.
  static func run(
    _ arguments: [String], environment: [String: String] = [:], host: String? = nil
  ) async throws -> (status: Int32, output: String, errors: String) {
    let running = try start(arguments, environment: environment, host: host)
    let status = await running.ended()
    return (status, running.output, running.errors)
  }

  /// A C file of this folder as a library, to be loaded before all others (`LD_PRELOAD`).
  static func library(_ name: String) throws -> String {
    let source = root.appending(path: "Tests/PalisadeTests/" + name).path()
    let library = try temporaryFolder().appending(path: "preloaded.so").path()
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/env")
    compiler.arguments = ["clang", "-O1", "-shared", "-fPIC", source, "-o", library, "-ldl"]
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0)
    return library
  }

  /// A new folder; short, because an ipc socket's path may have 107 bytes.
  static func temporaryFolder() throws -> URL {
    let folder = URL(filePath: "/tmp/palisade-test-\(UUID().uuidString.prefix(12))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
  }
}

/// A coordinator and its workers as processes.
struct ProcessCluster {
  let endpoint: String
  let coordinator: Program.Running
  let workers: [Program.Running]

  /// Starts them and waits until a token has gone through all stages.
  static func start(
    vision: Int, shards: Int, transport: String = "tcp", serveOptions: [String] = [],
    keys: String? = nil, workerOptions: [String] = []
  ) async throws -> ProcessCluster {
    let folder = try Program.temporaryFolder()
    let file = folder.appending(path: "endpoint").path()
    let endpoint =
      transport == "tcp" ? "tcp://127.0.0.1:*" : "ipc://" + folder.appending(path: "c").path()
    let shown = keys.map { ["--keys", $0] } ?? []
    let coordinator = try Program.start(
      [
        "serve", "--model", Program.model, "--workers", "\(vision)+\(shards)", "--endpoint",
        endpoint, "--endpoint-file", file,
      ] + serveOptions + shown)
    var real = ""
    for _ in 0..<1000 where real.isEmpty {
      real =
        (try? String(contentsOfFile: file, encoding: .utf8))?
        .trimmingCharacters(in: .whitespacesAndNewlines) ?? ""
      if real.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
    }
    try #require(!real.isEmpty, "serve said: \(coordinator.errors)")
    let workers = try (0..<vision + shards).map { index in
      try Program.start(
        [
          "worker", "--coordinator", real, "--name", "w\(index)", "--threads", "1",
        ] + shown + workerOptions)
    }
    let status = try await Program.run(
      ["status", "--coordinator", real, "--wait", "120"] + shown)
    try #require(status.status == 0, "status said: \(status.output) \(status.errors)")
    return ProcessCluster(endpoint: real, coordinator: coordinator, workers: workers)
  }

  /// Ctrl-C at the coordinator; everything must end by itself.
  func stop() async -> [Int32] {
    coordinator.signal(SIGINT)
    var statuses = [await coordinator.ended(within: 20)]
    for worker in workers { statuses.append(await worker.ended(within: 20)) }
    return statuses
  }

  /// Ends what is left, for tests that broke something on purpose.
  func kill() {
    for process in workers + [coordinator] {
      process.signal(SIGCONT)
      process.signal(SIGKILL)
    }
  }
}
