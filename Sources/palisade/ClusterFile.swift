import Foundation
import Messaging
import PaliGemma
import Pipelining
import Tensors
import Yams

/// A cluster in a YAML file; `cluster/README.md` documents it field by field.
struct ClusterFile: Decodable {
  struct Stage: Decodable {
    var name: String
    /// `vision`, `decoder`, or `first-last` (both included).
    var blocks: String?
    var replicas: Int?
    var workers: [String]?
  }

  var coordinator: String
  var model: String?
  var precision: Precision?
  /// How rows travel from stage to stage.
  var wire: TensorEncoding?
  /// Replicas of the vision stage, where `stages` is absent.
  var vision: Int?
  /// Shards of about equal cost, where `stages` is absent.
  var shards: Int?
  var stages: [Stage]?
  /// `auto` or `auto:N`, where the others are absent: the plan is made from what workers measure.
  var workers: String?

  private enum CodingKeys: String, CodingKey, CaseIterable {
    case coordinator, model, precision, wire, vision, shards, stages, workers
  }

  /// Reads a file; relative paths in it are relative to its folder.
  init(path: String) throws {
    let url = URL(filePath: path)
    let text: String
    do { text = try String(contentsOf: url, encoding: .utf8) } catch {
      throw CommandFailure("cannot read \(path): \(error.localizedDescription)")
    }
    do {
      self = try YAMLDecoder().decode(ClusterFile.self, from: text)
      let known = Set(CodingKeys.allCases.map(\.rawValue))
      let keys = (try Yams.load(yaml: text) as? [String: Any])?.keys.sorted() ?? []
      if let unknown = keys.first(where: { !known.contains($0) }) {
        throw CommandFailure("'\(unknown)' is no field of a cluster file")
      }
    } catch {
      let cause = (error as? CommandFailure)?.description ?? "\(error)"
      throw CommandFailure("\(path): \(cause); cluster/README.md documents the fields")
    }
    if let workers,
      Self.automatic(workers) == nil || stages != nil || vision != nil || shards != nil
    {
      throw CommandFailure(
        "\(path): 'workers: \(workers)' is not 'auto' or 'auto:N', or stages, vision or shards are "
          + "given beside it; cluster/README.md documents the fields")
    }
    if let model, !model.hasPrefix("/") {
      self.model = url.deletingLastPathComponent().appending(path: model).standardizedFileURL.path()
    }
  }

  /// The stages to fill.
  func template(config: ModelConfig) throws -> ClusterTemplate {
    guard let stages else {
      return try .even(visionCount: vision ?? 1, shardCount: shards ?? 2, config: config)
    }
    return try ClusterTemplate(
      stages: try stages.map {
        ClusterTemplate.Stage(
          name: $0.name, blocks: try Self.blocks($0, config: config),
          replicaCount: $0.replicas ?? 1, workerNames: $0.workers ?? [])
      }, config: config)
  }

  /// `auto` to 1, `auto:3` to 3: how many workers the first measured plan waits for.
  static func automatic(_ text: String) -> Int? {
    if text == "auto" { return 1 }
    guard text.hasPrefix("auto:"), let count = Int(text.dropFirst(5)), (1...256).contains(count)
    else { return nil }
    return count
  }

  private static func blocks(_ stage: Stage, config: ModelConfig) throws -> Range<Int> {
    switch stage.blocks {
    case "vision": return 0..<config.tokenEmbeddingIndex
    case "decoder": return config.tokenEmbeddingIndex..<config.blockCount
    default:
      let ends = (stage.blocks ?? "").split(separator: "-").compactMap { Int($0) }
      guard ends.count == 2, ends[0] >= 0, ends[0] <= ends[1], ends[1] < config.blockCount else {
        throw CommandFailure(
          "stage '\(stage.name)': blocks '\(stage.blocks ?? "")' is not 'vision', 'decoder' or "
            + "'first-last' within 0-\(config.blockCount - 1)")
      }
      return ends[0]..<ends[1] + 1
    }
  }
}

/// Something that ends a command, in words a user can act on.
struct CommandFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
