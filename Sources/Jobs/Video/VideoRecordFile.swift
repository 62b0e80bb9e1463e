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
    var records = try VideoRecordReader(path: path)
    var points: [String: ResumePoint] = [:]
    while let record = try records.next() {
      points[record.source] = ResumePoint(frame: record.frame, pts: record.pts)
    }
    (resumePoints, earlierCount) = (points, records.count)
    do throws(BatchError) {
      if records.end < file.length { try file.truncate(to: records.end) }
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
