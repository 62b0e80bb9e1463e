import Foundation
import Messaging

/// A plan as JSON: what `palisade plan --json` prints; its `nodes` can be given back with `--nodes-file`.
public struct PlanDocument: Codable, Sendable, Equatable {
  /// A machine.
  public struct Node: Codable, Sendable, Equatable {
    /// Its name.
    public var name: String
    /// The machine; absent for one of its own.
    public var host: String?
    /// Memory for weights and caches; absent when it isn't known.
    public var memoryBytes: Int?
    /// How fast it is.
    public var speed: WorkerSpeed
  }
  /// A stage of the plan.
  public struct Stage: Codable, Sendable, Equatable {
    var name: String
    var firstBlock: Int
    var endBlock: Int
    var workers: [String]
    var secondsPerImage: Double
    var imagesPerSecond: Double
  }
  /// What a plan should do.
  public struct Plan: Codable, Sendable, Equatable {
    var title: String
    var imagesPerSecond: Double
    var simulatedImagesPerSecond: Double?
    var bottleneck: String
    var stages: [Stage]
    var leftOut: [String]

    /// From a forecast.
    public init(
      _ title: String, _ forecast: PlanForecast, simulated: Double? = nil, leftOut: [String] = []
    ) {
      self.title = title
      imagesPerSecond = forecast.imagesPerSecond
      simulatedImagesPerSecond = simulated
      bottleneck = forecast.bottleneck
      stages = forecast.stages.map {
        Stage(
          name: $0.name, firstBlock: $0.blocks.lowerBound, endBlock: $0.blocks.upperBound,
          workers: $0.workers, secondsPerImage: $0.secondsPerImage,
          imagesPerSecond: $0.imagesPerSecond)
      }
      self.leftOut = leftOut
    }
  }

  /// The machines.
  public var nodes: [Node]
  /// The plans over them.
  public var plans: [Plan]
  /// What the cluster did in its last seconds; absent without a cluster.
  public var measuredImagesPerSecond: Double?

  /// A document.
  public init(nodes: [PlanNode], plans: [Plan], measured: Double? = nil) {
    self.nodes = nodes.map {
      Node(name: $0.name, host: $0.host, memoryBytes: $0.memoryBytes, speed: $0.speed)
    }
    self.plans = plans
    measuredImagesPerSecond = measured
  }

  /// The JSON, with sorted keys.
  public var text: String {
    get throws {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
  }

  /// The machines of a document, or of a bare list of them.
  ///
  /// - Throws: `invalid_nodes` when it is neither, or says what can't have been measured.
  public static func nodes(reading data: Data) throws(Failure) -> [PlanNode] {
    let decoder = JSONDecoder()
    guard data.count <= 4 << 20,
      let list = (try? decoder.decode(PlanDocument.self, from: data))?.nodes
        ?? (try? decoder.decode([Node].self, from: data)), (1...4096).contains(list.count),
      list.allSatisfy({
        (try? ControlMessage.workerSpeed($0.speed).encode()) != nil && $0.memoryBytes ?? 0 >= 0
      })
    else {
      throw Failure(
        code: "invalid_nodes",
        message: "the file is no list of nodes as `palisade plan --json` writes them")
    }
    return list.enumerated().map { index, node in
      PlanNode(
        index: index, name: node.name, host: node.host ?? "host-\(index + 1)",
        memoryBytes: node.memoryBytes ?? 0, speed: node.speed)
    }
  }
}
