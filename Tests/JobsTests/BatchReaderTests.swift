import Foundation
import Testing

@testable import Jobs

@Suite struct BatchReaderTests {
  private func read(_ bytes: [UInt8], limit: Int = 100, chunk: Int = 4) throws -> [RawLine] {
    let folder = try TemporaryFolder()
    let path = try folder.write(bytes, "in.jsonl")
    var reader = try BatchReader(path: path, lineByteCount: limit, chunkByteCount: chunk)
    var lines: [RawLine] = []
    while let line = try reader.next() { lines.append(line) }
    return lines
  }

  private func texts(_ lines: [RawLine]) -> [String?] {
    lines.map { $0.bytes.map { String(decoding: $0, as: UTF8.self) } }
  }

  @Test("Lines come out whole whatever the chunks", arguments: [1, 2, 3, 5, 7, 1000])
  func chunks(_ chunk: Int) throws {
    let text = "first line\r\n\n   \t\r\nsecond\nlast without end"
    let lines = try read(Array(text.utf8), chunk: chunk)
    #expect(texts(lines) == ["first line", "second", "last without end"])
    #expect(lines.map(\.number) == [1, 4, 5])
    #expect(lines.last?.endOffset == text.utf8.count)
  }

  @Test("A byte-order mark is left out, at the start only")
  func byteOrderMark() throws {
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let lines = try read(mark + Array("a\n".utf8) + mark + Array("b".utf8))
    #expect(lines.map(\.bytes) == [Array("a".utf8), mark + Array("b".utf8)])
  }

  @Test("A line at the limit is read, one beyond it is reported and skipped")
  func limit() throws {
    let ten = String(repeating: "x", count: 10)
    let lines = try read(Array("\(ten)\r\n\(ten)y\n\(ten)\(ten)\(ten)\nz\n".utf8), limit: 10)
    #expect(texts(lines) == [ten, nil, nil, "z"])
    #expect(lines.map(\.number) == [1, 2, 3, 4])
  }

  @Test("It goes to any line, within what it holds or not", arguments: [4, 1000])
  func seeking(_ chunk: Int) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("one\n\ntwo\nthree", "in.jsonl")
    var reader = try BatchReader(path: path, chunkByteCount: chunk)
    var places: [ReadingPlace] = []
    var lines: [RawLine] = []
    while let line = try reader.next() {
      places.append(reader.place)
      lines.append(line)
    }
    #expect(lines.map(\.offset) == [0, 5, 9])
    #expect(lines.map(\.isEnded) == [true, true, false])
    for index in [2, 0, 1, 2, 2] {
      try reader.seek(
        to: ReadingPlace(offset: lines[index].offset, line: lines[index].number - 1))
      #expect(try reader.next() == lines[index])
    }
    // The digest depends on the lines and not on how they were read.
    try reader.seek(to: places[0])
    #expect(try reader.next() == lines[1])
    #expect(reader.place == places[1])
    #expect(Set(places.map(\.digest)).count == 3)
  }

  @Test("Empty files have no lines; folders and missing files are errors")
  func edges() throws {
    #expect(try read([]).isEmpty)
    #expect(try read(Array("\n\r\n \n".utf8)).isEmpty)
    #expect(throws: BatchError.self) { try BatchReader(path: "/tmp") }
    #expect(throws: BatchError.self) { try BatchReader(path: "/nowhere/at/all.jsonl") }
  }
}
