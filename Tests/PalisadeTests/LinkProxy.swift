import Foundation
import Synchronization
import Testing

/// Links between TCP endpoints that a test rules: `scripts/link-proxy`, which says what it can do.
final class LinkProxy: Sendable {
  /// Where each link is entered.
  let ports: [String: Int]
  private let process: Mutex<Process>
  private let commands: FileHandle
  private let output: URL
  private let answers: Mutex<Int>

  /// Links of these names at `address`, in a network namespace if one is named.
  init(
    _ names: [String], at address: String = "127.0.0.1", host: String? = nil, seed: UInt64 = 0
  ) async throws {
    // One that is gone is an error of a command, and not this process's end.
    signal(SIGPIPE, SIG_IGN)
    let script = Program.root.appending(path: "scripts/link-proxy").path()
    let process = Process()
    process.executableURL = URL(filePath: host == nil ? script : "/usr/sbin/ip")
    process.arguments =
      (host.map { ["netns", "exec", $0, script] } ?? []) + ["--seed", "\(seed)"]
      + names.map { "\($0)=\(address):0" }
    output = try Program.temporaryFolder().appending(path: "proxy")
    try Data().write(to: output)
    process.standardOutput = try FileHandle(forWritingTo: output)
    let input = Pipe()
    process.standardInput = input
    commands = input.fileHandleForWriting
    try process.run()
    let lines = try await Self.lines(of: output, count: names.count, process)
    ports = Dictionary(
      uniqueKeysWithValues: lines.map { line in
        let words = line.split(separator: " ")
        return (String(words[0]), Int(words[1]) ?? 0)
      })
    answers = Mutex(names.count)
    self.process = Mutex(process)
  }

  deinit { try? commands.close() }

  /// Where to connect to enter a link.
  func endpoint(_ name: String) -> String { "tcp://127.0.0.1:\(ports[name] ?? 0)" }

  /// Gives a command and waits until it is obeyed.
  func say(_ words: String) async throws {
    try commands.write(contentsOf: Data((words + "\n").utf8))
    let count = answers.withLock { count in
      count += 1
      return count
    }
    for _ in 0..<2000 {
      if try Self.read(output).count >= count { return }
      try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("the link proxy doesn't answer '\(words)'")
  }

  private static func read(_ file: URL) throws -> [Substring] {
    try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
  }

  private static func lines(of file: URL, count: Int, _ process: Process) async throws
    -> [Substring]
  {
    for _ in 0..<2000 where process.isRunning {
      let lines = try read(file)
      if lines.count >= count { return lines }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw CocoaError(.fileReadUnknown, userInfo: [NSLocalizedDescriptionKey: "no link proxy"])
  }
}
