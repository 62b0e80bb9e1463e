import ArgumentParser

/// The one binary; a subcommand per role.
@main
struct Palisade: AsyncParsableCommand {
  static let version = "0.1.0"

  static let configuration = CommandConfiguration(
    commandName: "palisade",
    abstract: "Serves PaliGemma over several ordinary machines as a pipeline.",
    discussion: """
      One machine:    palisade run --model DIR --image a.jpg --prompt "caption en"
      A batch file:   palisade batch in.jsonl --output out.jsonl --model DIR
      A video:        palisade video in.mp4 --prompt "detect cat" --output out.jsonl --model DIR
      A cluster:      palisade serve --model DIR --workers 1+2
                      palisade worker --coordinator tcp://127.0.0.1:7400   (three times)
                      palisade batch in.jsonl --output out.jsonl --coordinator tcp://127.0.0.1:7400
      """,
    version: version,
    subcommands: [
      RunCommand.self, BatchCommand.self, VideoCommand.self, EvalCommand.self, ServeCommand.self,
      WorkerCommand.self,
      StatusCommand.self, PlanCommand.self, TopCommand.self, TraceCommand.self,
      CheckpointCommand.self,
      DoctorCommand.self, BenchCommand.self, KeysCommand.self, ClusterCommand.self,
    ])
}
