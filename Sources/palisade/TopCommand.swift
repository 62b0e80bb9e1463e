import ArgumentParser
import Foundation
import Glibc
import Messaging
import Pipelining

/// `palisade top`: a cluster, live.
struct TopCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "top",
    abstract: "Watch a cluster: stages, queues, rates and the last micro-batches.",
    discussion: """
      In a terminal the picture is drawn anew every second until Ctrl-C; elsewhere (a pipe, a log)
      each is printed below the last, without colours.
      """)

  @Option(help: "Where the coordinator listens.")
  var coordinator: String = ServeCommand.defaultEndpoint
  @Option(help: "Seconds between two pictures.")
  var interval: Double = 1
  @Option(help: "End after so many pictures (default: Ctrl-C).")
  var count: Int?
  @OptionGroup var link: LinkOptions

  func validate() throws {
    guard interval >= 0.1, interval <= 3600 else {
      throw ValidationError("--interval takes 0.1 to 3600 seconds")
    }
    if let count, count < 1 { throw ValidationError("--count takes 1 or more") }
  }

  func run() async throws {
    let isTerminal = isatty(STDOUT_FILENO) == 1
    let links = try link.links(.client)
    let client = try StatusClient(coordinator, links: links)
    let screen = Screen(isTerminal: isTerminal)
    if isTerminal {
      Interruption.install { _ in
        Screen.leave()
        _exit(0)
      }
      Screen.enter()
    }
    defer { if isTerminal { Screen.leave() } }
    var tokens = Sparkline()
    var shown = 0
    while true {
      let status = try client.status(milliseconds: ClusterReadiness.answerMilliseconds)
      let trace = try client.trace(
        spanCount: 2048, milliseconds: ClusterReadiness.answerMilliseconds)
      if let status {
        tokens.add(status.service.tokensPerSecond)
        try screen.show(
          TopPicture(
            status: status, trace: trace ?? Trace(), tokens: tokens, endpoint: coordinator,
            isColoured: isTerminal, size: Screen.size))
      } else if shown == 0 {
        throw ClusterReadiness.nobody(coordinator, links)
      } else {
        try screen.show(lines: ["\(coordinator) does not answer; waiting (Ctrl-C ends)"])
      }
      shown += 1
      if let count, shown >= count { return }
      try await Task.sleep(for: .seconds(interval))
    }
  }
}

/// The terminal that a picture is drawn on.
struct Screen {
  let isTerminal: Bool

  /// Columns and rows; 100 × 40 where there is no terminal.
  static var size: (columns: Int, rows: Int) {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
      return (100, 40)
    }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// The alternate screen, without a cursor; what was there before comes back afterwards.
  static func enter() { Terminal.write("\u{1b}[?1049h\u{1b}[?25l", to: .standardOutput) }
  static func leave() { Terminal.write("\u{1b}[?25h\u{1b}[?1049l", to: .standardOutput) }

  func show(_ picture: TopPicture) throws { try show(lines: picture.lines) }

  func show(lines: [String]) throws {
    guard isTerminal else {
      try Terminal.result(lines.joined(separator: "\n") + "\n")
      return
    }
    // From the top, each line cleared behind its text: no flicker.
    let rows = lines.prefix(max(1, Self.size.rows - 1))
    let text = rows.map { $0 + "\u{1b}[K\n" }.joined()
    Terminal.write("\u{1b}[H" + text + "\u{1b}[J", to: .standardOutput)
  }
}
