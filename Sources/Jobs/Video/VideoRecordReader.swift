import Foundation
import Messaging
import VideoFrames

/// Reads the records of earlier runs back from their file, one after the other, in memory for one.
struct VideoRecordReader {
  private struct Line: Decodable {
    struct BoxText: Decodable {
      let label: String
      let xyxy: [Double]
      let `repeat`: Bool?
    }
    struct MaskText: Decodable {
      let size: [Int]
      let counts: String
    }
    struct Problem: Decodable {
      let code: String
      let message: String
    }
    let source: String
    let frame: Int
    /// As a decimal number, which keeps every digit.
    let pts: Decimal
    let text: String?
    let boxes: [BoxText]?
    let masks: [MaskText?]?
    let dropped: String?
    let repeats: Int?
    let error: Problem?
  }

  let path: String
  /// Whole records read.
  private(set) var count = 0
  /// Bytes of them.
  private(set) var end = 0
  private var lines: BatchReader

  /// Opens the file.
  init(path: String) throws(Failure) {
    self.path = path
    do throws(BatchError) {
      lines = try BatchReader(path: path, lineByteCount: JobLimits.videoRecordByteCount)
    } catch { throw Failure(code: "unwritable_output", message: "\(error)") }
  }

  /// The next whole record; nil at the end, or at a torn line, which is the last.
  ///
  /// - Throws: `invalid_output` for what is no record.
  mutating func next() throws(Failure) -> VideoRecord? {
    let line: RawLine?
    do throws(BatchError) { line = try lines.nextOfAny() } catch {
      throw Failure(code: "unwritable_output", message: "\(error)")
    }
    guard let line else { return nil }
    guard let bytes = line.bytes else { throw invalid("a line is too long") }
    guard line.isEnded else { return nil }
    guard let text = try? JSONDecoder().decode(Line.self, from: Data(bytes)),
      let pts = MediaTime("\(text.pts)")
    else { throw invalid("line \(count + 1) is no record") }
    (count, end) = (count + 1, line.endOffset)
    return VideoRecord(
      source: text.source, frame: text.frame, pts: pts, outcome: Self.outcome(text))
  }

  private static func outcome(_ line: Line) -> VideoRecord.Outcome {
    if let cause = line.dropped { return .dropped(cause) }
    if let error = line.error { return .failed(Failure(code: error.code, message: error.message)) }
    guard let text = line.text else { return .collected }
    let answer = answer(text, line)
    return line.repeats.map { .repeated(frame: $0, answer) } ?? .answered(answer)
  }

  /// The answer as far as a record has it: what can be shown of it.
  private static func answer(_ text: String, _ line: Line) -> Answer {
    let masks = line.masks ?? []
    let boxes = (line.boxes ?? []).enumerated().compactMap { index, box -> Box? in
      guard box.xyxy.count == 4 else { return nil }
      let mask = masks.indices.contains(index) ? masks[index]?.counts : nil
      return Box(
        label: box.label, x1: box.xyxy[0], y1: box.xyxy[1], x2: box.xyxy[2], y2: box.xyxy[3],
        isRepeat: box.repeat ?? false, mask: mask ?? "")
    }
    let size = masks.lazy.compactMap { $0?.size }.first { $0.count == 2 }
    return Answer(
      text: text, tokenIDs: [], finish: .stop, promptTokens: 0, completionTokens: 0,
      imageSizes: size.map { [ImageSize(width: $0[1], height: $0[0])] } ?? [], boxes: boxes)
  }

  private func invalid(_ reason: String) -> Failure {
    Failure(
      code: "invalid_output",
      message: "\(path) is no file of a video's records: \(reason); give another --output")
  }
}
