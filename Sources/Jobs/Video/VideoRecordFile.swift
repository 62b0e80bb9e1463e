import Foundation
import Messaging
import VideoFrames

/// The file of a command's records: JSON lines that are only ever appended to, whole.
///
/// Killed at any moment, at most its last line is torn; going on cuts that line off, and each source goes on after its last
/// whole one. So every sampled frame has exactly one record in the end.
public actor VideoRecordFile {
  /// What to do with a file that is there.
  public enum Mode: Sendable {
    /// Refuse.
    case new
    /// Throw it away.
    case overwrite
    /// Go on after each source's last record.
    case resume
  }

  /// For each source that has records, the last one.
  public nonisolated let resumePoints: [String: ResumePoint]
  /// Records that were there already.
  public nonisolated let earlierCount: Int
  private var file: OutputFile
  private var lastSync = ContinuousClock.now

  /// Opens the file.
  ///
  /// - Throws: `output_exists`, `unwritable_output`, or `invalid_output` for a file to go on with that holds something else.
  public init(path: String, mode: Mode) throws(Failure) {
    do throws(BatchError) {
      file = try OutputFile(path: path)
      if mode == .overwrite { try file.truncate(to: 0) }
    } catch {
      throw Failure(code: "unwritable_output", message: "\(error)")
    }
    guard mode == .resume else {
      guard file.length == 0 else {
        throw Failure(
          code: "output_exists",
          message: "\(path) has records; go on with --resume, or throw them away with --overwrite")
      }
      (resumePoints, earlierCount) = ([:], 0)
      return
    }
    var scan = RecordScan(path: path)
    try scan.read()
    (resumePoints, earlierCount) = (scan.points, scan.count)
    do throws(BatchError) {
      if scan.end < file.length { try file.truncate(to: scan.end) }
    } catch { throw Failure(code: "unwritable_output", message: "\(error)") }
  }

  /// Appends a record; nothing of it stays when there is no room.
  public func append(_ record: VideoRecord) throws(Failure) {
    do throws(BatchError) {
      _ = try file.append(Data((record.json.line + "\n").utf8))
      guard ContinuousClock.now - lastSync > JobLimits.commitInterval else { return }
      try synchronize()
    } catch { throw Failure(code: "unwritable_output", message: "\(error)") }
  }

  /// Waits until all records are on disk.
  public func finish() throws(Failure) {
    do throws(BatchError) { try synchronize() } catch {
      throw Failure(code: "unwritable_output", message: "\(error)")
    }
  }

  private func synchronize() throws(BatchError) {
    try OutputFile.synchronize(file.handle.fileDescriptor, file.path)
    lastSync = .now
  }
}

/// Reads the records of an earlier run.
private struct RecordScan {
  private struct Line: Decodable {
    let source: String
    let frame: Int
    /// As a decimal number, which keeps every digit.
    let pts: Decimal
  }
  let path: String
  private(set) var points: [String: ResumePoint] = [:]
  private(set) var count = 0
  /// Bytes of whole lines.
  private(set) var end = 0
  private var reader: BatchReader?

  init(path: String) { self.path = path }

  mutating func read() throws(Failure) {
    do throws(BatchError) {
      reader = try BatchReader(path: path, lineByteCount: JobLimits.videoRecordByteCount)
    } catch { throw Failure(code: "unwritable_output", message: "\(error)") }
    while let line = try nextLine() {
      guard let bytes = line.bytes else { throw invalid("a line is too long") }
      // Torn, and so the last.
      guard line.isEnded else { return }
      try take(Data(bytes))
      end = line.endOffset
    }
  }

  private mutating func nextLine() throws(Failure) -> RawLine? {
    do throws(BatchError) { return try reader?.nextOfAny() } catch {
      throw Failure(code: "unwritable_output", message: "\(error)")
    }
  }

  private mutating func take(_ line: Data) throws(Failure) {
    guard let record = try? JSONDecoder().decode(Line.self, from: line),
      let pts = MediaTime("\(record.pts)")
    else { throw invalid("line \(count + 1) is no record") }
    points[record.source] = ResumePoint(frame: record.frame, pts: pts)
    count += 1
  }

  private func invalid(_ reason: String) -> Failure {
    Failure(
      code: "invalid_output",
      message: "\(path) is no file of a video's records: \(reason); give another --output")
  }
}
