import Messaging
import PaliGemma

/// What the requests of a cluster are like: what a plan is made for.
public struct Workload: Sendable, Equatable {
  /// Tokens of a prompt, without the picture's.
  public var promptTokens: Double
  /// Tokens of an answer.
  public var answerTokens: Double
  /// Requests in the pipeline at once; nil for as many as a batch may have there, which grow with the
  /// stages that decode.
  public var fixedInFlight: Int?
  /// How rows travel from stage to stage.
  public var encoding: TensorEncoding
  /// The cluster's own, for rows of a prefill.
  var limits: Limits

  /// A workload; without figures that of a batch whose answers are short.
  public init(
    promptTokens: Double = 16, answerTokens: Double = 20,
    requestsInFlight: Int? = nil, encoding: TensorEncoding = .exact, limits: Limits = Limits()
  ) {
    self.promptTokens = max(1, promptTokens)
    self.answerTokens = max(1, answerTokens)
    fixedInFlight = requestsInFlight.map { max(1, $0) }
    self.encoding = encoding
    self.limits = limits
  }

  /// Requests in a pipeline in which so many stages decode.
  public func requestsInFlight(decodeStages: Int) -> Int {
    fixedInFlight ?? limits.batchRequestsInFlight(decodeStages: decodeStages)
  }

  /// Decode steps of a request: its first token comes out of the prefill.
  var decodeSteps: Double { answerTokens - 1 }

  /// Requests in one prefill of a pipeline of so many workers, when as many wait.
  public func prefillRequests(_ config: ModelConfig, workerCount: Int) -> Int {
    let rows = Double(config.imageTokenCount) + promptTokens
    let maximum = limits.prefillRows(workerCount: workerCount)
    return max(1, min(requestsInFlight(decodeStages: 1), Int(Double(maximum) / rows)))
  }

  /// Requests in one decode step of a pipeline in which so many stages decode.
  func stepRequests(decodeStages: Int) -> Int {
    max(1, (requestsInFlight(decodeStages: decodeStages) + decodeStages - 1) / max(1, decodeStages))
  }

  /// Bytes of a row of so many numbers on its way to the next stage.
  func rowBytes(_ width: Int) -> Double {
    switch encoding {
    case .exact: Double(width * 4)
    case .bf16: Double(width * 2)
    case .int8: Double(width + 4)
    }
  }

  /// Bytes of one request that pass the boundary in front of block `index`.
  func bytes(before index: Int, _ config: ModelConfig) -> Double {
    let patches = Double(config.imageTokenCount)
    if index == 0 { return Double(config.vision.imageSide * config.vision.imageSide * 3) }
    if index >= config.blockCount { return 0 }
    if index < config.tokenEmbeddingIndex { return patches * rowBytes(config.vision.width) }
    let row = rowBytes(config.text.width)
    if index == config.tokenEmbeddingIndex { return patches * row }
    return (patches + promptTokens + decodeSteps) * row
  }
}
