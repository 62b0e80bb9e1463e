/// What a client asks of the coordinator.
public enum ClientMessage: Sendable, Equatable {
  /// Answer this.
  case submit(Submit)
  /// Forget what was submitted under this tag.
  case cancel(tag: UInt64)
  /// How are you?
  case status
  /// What did the stages compute lately? At most so many spans.
  case trace(spanCount: Int)
  /// Change the cluster so.
  case order(ClusterOrder)
}

/// What the coordinator answers.
public enum ServerMessage: Sendable, Equatable {
  /// The one answer to a submission.
  case reply(Reply)
  /// The state of the pipeline.
  case status(Status)
  /// What the stages computed lately.
  case trace(Trace)
  /// What became of an order.
  case orderAnswer(OrderAnswer)
}

/// One prompt with its images.
public struct Submit: Sendable, Equatable {
  /// Chosen by the client; the reply bears it.
  public var tag: UInt64
  /// The prompt, without image placeholders.
  public var prompt: String
  /// Encoded image files, each its own frame.
  public var images: [Frame]
  /// How to draw tokens.
  public var sampling: Sampling
  /// How to treat it.
  public var handling: Handling
  /// Texts that end the answer, and are no part of it.
  public var stopTexts: [String]
  /// Extents of pictures that were shrunk to the model's side before they were sent, which boxes and
  /// masks are given in: none, or one for each image, 0 x 0 for one that is as it was.
  public var originalSizes: [ImageSize]
  /// Makes a submission.
  public init(
    tag: UInt64, prompt: String, images: [Frame], sampling: Sampling = Sampling(),
    handling: Handling = Handling(), stopTexts: [String] = [], originalSizes: [ImageSize] = []
  ) {
    self.tag = tag
    self.prompt = prompt
    self.images = images
    self.sampling = sampling
    self.handling = handling
    self.stopTexts = stopTexts
    self.originalSizes = originalSizes
  }
}

/// Extent of an image as submitted, in pixels.
public struct ImageSize: Sendable, Equatable {
  /// Pixels across.
  public var width: Int
  /// Pixels down.
  public var height: Int
  /// Makes a size.
  public init(width: Int, height: Int) {
    self.width = width
    self.height = height
  }
}

/// A labelled box, corners in pixels of the original image.
public struct Box: Sendable, Equatable {
  /// What is in it.
  public var label: String
  /// Left edge.
  public var x1: Double
  /// Top edge.
  public var y1: Double
  /// Right edge.
  public var x2: Double
  /// Bottom edge.
  public var y2: Double
  /// Whether an earlier box of the answer has the same edges and label.
  public var isRepeat: Bool
  /// The mask's sixteen code words of 0…127, as the model wrote them; empty when it wrote none.
  public var segments: [UInt8]
  /// The mask as COCO's compressed run lengths, in the extent of the first image; empty without one.
  public var mask: String
  /// Makes a box.
  public init(
    label: String, x1: Double, y1: Double, x2: Double, y2: Double, isRepeat: Bool = false,
    segments: [UInt8] = [], mask: String = ""
  ) {
    self.label = label
    self.x1 = x1
    self.y1 = y1
    self.x2 = x2
    self.y2 = y2
    self.isRepeat = isRepeat
    self.segments = segments
    self.mask = mask
  }
}

/// A part of an answer that keeps to no form of boxes, reported and not guessed at.
public struct MalformedText: Sendable, Equatable {
  /// A word for programs, such as `location_count`.
  public var reason: String
  /// The part as the model wrote it.
  public var text: String
  /// Makes a report.
  public init(reason: String, text: String) {
    self.reason = reason
    self.text = text
  }
}

/// One generated token with its probability and alternatives.
public struct TokenLogprob: Sendable, Equatable {
  /// The token.
  public var tokenID: Int32
  /// Natural logarithm of its probability.
  public var logprob: Float
  /// The likeliest tokens.
  public var alternatives: [Alternative]
  /// Makes an entry.
  public init(tokenID: Int32, logprob: Float, alternatives: [Alternative] = []) {
    self.tokenID = tokenID
    self.logprob = logprob
    self.alternatives = alternatives
  }
}
