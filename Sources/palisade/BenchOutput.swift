import ArgumentParser
import Foundation

/// Where a measurement's results go.
struct BenchOutputOptions: ParsableArguments {
  @Flag(help: "Print one JSON line instead of a table.") var json = false
  @Option(help: ArgumentHelp("Append the JSON line to this file too.", valueName: "file"))
  var append: String?

  func validate() throws {
    guard let append else { return }
    // Before minutes are spent on what can't be kept.
    guard let handle = Self.open(append) else { throw Self.unwritable(append) }
    try? handle.close()
  }

  /// Prints the result, and keeps it where that was asked for.
  ///
  /// - Throws: when it can't be written.
  func tell(json line: String, table: String) throws {
    try Terminal.result(json ? line : table)
    guard let append else { return }
    do {
      guard let handle = Self.open(append) else { throw Self.unwritable(append) }
      defer { try? handle.close() }
      try handle.write(contentsOf: Data((line + "\n").utf8))
    } catch { throw Self.unwritable(append) }
  }

  /// Each line is written in one piece at the end, whoever else writes.
  private static func open(_ path: String) -> FileHandle? {
    let descriptor = Foundation.open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o644)
    return descriptor < 0 ? nil : FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
  }

  private static func unwritable(_ path: String) -> CommandFailure {
    CommandFailure("cannot append to \(path); check its folder and permissions")
  }
}
