import ArgumentParser
import Foundation
import Messaging
import Pipelining

/// `palisade trace`: what the stages computed lately, as a picture.
struct TraceCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trace",
    abstract: "Write the last micro-batches of all stages as a Chrome/Perfetto trace.",
    discussion: """
      Open the file at https://ui.perfetto.dev (it stays in the browser) or in chrome://tracing.
      A process per stage, a thread per worker, a slice per micro-batch with its requests and rows,
      arrows from stage to stage, all in the coordinator's clock.
      """)

  @Option(help: "Where the coordinator listens.")
  var coordinator: String = ServeCommand.defaultEndpoint
  @Option(name: .shortAndLong, help: "The file to write.")
  var output: String
  @Option(help: "At most so many micro-batches, counted once per stage.")
  var count: Int = 4096
  @OptionGroup var link: LinkOptions

  func validate() throws {
    guard (1...MessageLimits.traceSpanCount).contains(count) else {
      throw ValidationError("--count takes 1 to \(MessageLimits.traceSpanCount)")
    }
  }

  func run() async throws {
    let links = try link.links(.client)
    let client = try StatusClient(coordinator, links: links)
    guard
      let trace = try client.trace(
        spanCount: count, milliseconds: ClusterReadiness.answerMilliseconds)
    else { throw ClusterReadiness.nobody(coordinator, links) }
    let json = try ChromeTrace.json(trace)
    do { try json.write(to: URL(filePath: output), options: .atomic) } catch {
      throw CommandFailure("cannot write \(output); check its folder and permissions")
    }
    let seconds =
      zip(trace.spans.last.map(\.startNanoseconds).map { [$0] } ?? [], trace.spans.prefix(1))
      .map { Double($0 - $1.startNanoseconds) / 1e9 }.first ?? 0
    Terminal.note(
      "\(trace.spans.count) micro-batches of \(trace.tracks.count) workers over "
        + "\(Readable.fixed(seconds, places: 1)) s are in \(output); open it at "
        + "https://ui.perfetto.dev or in chrome://tracing")
  }
}
