import Messaging
import VideoFrames

/// What became of one sampled frame: there is exactly one for each.
public struct VideoRecord: Sendable {
  /// What became of it.
  public enum Outcome: Sendable {
    /// It was answered; in clips the answer of the clip that this frame ends.
    case answered(Answer)
    /// It repeats an earlier frame, whose answer stands again.
    case repeated(frame: Int, Answer)
    /// It stands in a clip that a later frame ends.
    case collected
    /// It was dropped: the cause.
    case dropped(String)
    /// Nobody could answer it.
    case failed(Failure)
  }

  /// The frames of a clip, from its first to its last.
  public struct Clip: Sendable, Equatable {
    /// Their numbers, in order of time.
    public var frames: [Int]
    /// When the first one is shown.
    public var from: MediaTime
    /// When the last one is shown.
    public var to: MediaTime
  }

  /// The source's name, without secrets.
  public var source: String
  /// The frame's number in its source.
  public var frame: Int
  /// When it is shown.
  public var pts: MediaTime
  /// What became of it.
  public var outcome: Outcome
  /// The clip that it ends.
  public var clip: Clip?
  /// From the frame's coming out of the decoder to its answer; nil for what wasn't answered.
  public var latency: Duration?

  /// The answer that stands for this frame.
  public var answer: Answer? {
    switch outcome {
    case .answered(let answer), .repeated(_, let answer): answer
    case .collected, .dropped, .failed: nil
    }
  }

  /// One line of results, without line end; every record has the same members.
  ///
  /// `text` is null where there is no answer, `dropped` the cause, `repeats` the number of the frame whose answer
  /// stands again, `error` `{code, message}`; `clip` is there in clips only. Other members are those of
  /// `Answer.typedJSON`.
  public var json: JSONText {
    var members: [String: JSONText] = [
      "source": .string(source), "frame": .integer(frame), "pts": .number("\(pts)"),
      "text": answer.map { .string($0.text) } ?? .null, "boxes": .array([]), "masks": .array([]),
      "latency_ms": latency.map { .decimal($0 / .milliseconds(1), places: 2) } ?? .null,
      "dropped": .null, "repeats": .null, "error": .null,
    ]
    if let answer {
      var typed = answer.typedJSON()
      // In an answer this counts boxes that are there twice; here the word is about frames.
      typed["repeated_boxes"] = typed.removeValue(forKey: "repeats")
      members.merge(typed) { $1 }
    }
    switch outcome {
    case .answered, .collected: break
    case .repeated(let frame, _): members["repeats"] = .integer(frame)
    case .dropped(let cause): members["dropped"] = .string(cause)
    case .failed(let failure):
      members["error"] = .object([
        "code": .string(failure.code), "message": .string(failure.message),
      ])
    }
    if let clip {
      members["clip"] = .object([
        "frames": .array(clip.frames.map { .integer($0) }), "from": .number("\(clip.from)"),
        "to": .number("\(clip.to)"),
      ])
    }
    return .object(members)
  }
}
