/// How fast a worker is with one model in one precision, as it measured itself. Times are seconds.
public struct WorkerSpeed: Sendable, Equatable, Codable {
  /// What a decode step of so many rows takes.
  public struct Step: Sendable, Equatable, Codable {
    /// Requests in the step.
    public var rows: Int
    /// One decoder layer.
    public var layerSeconds: Double
    /// The head, with the choice of tokens.
    public var headSeconds: Double
    /// What a stage spends on it beside arithmetic: taking it in, and sending it on.
    public var hopSeconds: Double
    /// Makes a step.
    public init(rows: Int, layerSeconds: Double, headSeconds: Double, hopSeconds: Double) {
      self.rows = rows
      self.layerSeconds = layerSeconds
      self.headSeconds = headSeconds
      self.hopSeconds = hopSeconds
    }
  }

  /// Of the model's configuration.
  public var fingerprint = ""
  /// How weights are held.
  public var precision = ""
  /// Threads of the kernels' pool.
  public var threads = 1
  /// Cores of the machine.
  public var cores = 1
  /// The patch embedding of one picture.
  public var patchSeconds = 0.0
  /// One vision layer of one picture.
  public var visionSeconds = 0.0
  /// The projector of one picture.
  public var projectorSeconds = 0.0
  /// The token embedding, a row of a prefill.
  public var embeddingSeconds = 0.0
  /// One decoder layer, a row of a prefill.
  public var prefillSeconds = 0.0
  /// Per byte that a stage takes in and sends on, in the stage's own thread.
  public var byteSeconds = 0.0
  /// Decode steps, by rows, fewest first; at least one.
  public var steps: [Step] = []
  /// How fast memory is read.
  public var readBytesPerSecond = 0.0
  /// Free memory before anything was loaded.
  public var freeBytes = 0
  /// To the coordinator; 0 when it wasn't measured.
  public var linkBytesPerSecond = 0.0
  /// One way to the coordinator; 0 when it wasn't measured.
  public var linkLatencySeconds = 0.0
  /// Nothing measured.
  public init() {}
}

/// What a worker is to measure itself for.
public struct ModelNumbers: Sendable, Equatable {
  /// The model's `config.json` in words.
  public var text: String
  /// Of the model's configuration.
  public var fingerprint: String
  /// How weights are held.
  public var precision: String
  /// Names them.
  public init(text: String, fingerprint: String, precision: String) {
    self.text = text
    self.fingerprint = fingerprint
    self.precision = precision
  }
}
