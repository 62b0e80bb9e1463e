import Foundation
import Testing

@testable import HTTPAPI

/// Forms, whole and broken, in pieces of every size.
@Suite struct MultipartTests {
  private static let form = [
    "preamble", "--b0undary", #"Content-Disposition: form-data; name="purpose""#, "", "batch",
    "--b0undary", #"content-disposition: form-data; name="file"; filename="a \"b\".jsonl""#,
    "Content-Type: application/jsonl", "", "one\r\n--b0undar\r\ntwo\r\n", "--b0undary",
    #"Content-Disposition: form-data; name="empty""#, "", "", "--b0undary--", "epilogue",
  ].joined(separator: "\r\n")

  private func read(_ text: String, pieces: Int) throws -> [String: String] {
    var parser = MultipartParser(boundary: "b0undary")
    var parts: [String: String] = [:]
    var name = ""
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: pieces) {
      for event in try parser.push(bytes[start..<min(start + pieces, bytes.count)]) {
        switch event {
        case .part(let part, let fileName):
          name = part
          parts[name] = ""
          if let fileName { parts["name of " + name] = fileName }
        case .bytes(let bytes): parts[name, default: ""] += String(decoding: bytes, as: UTF8.self)
        case .partEnd: name = "none"
        }
      }
    }
    try parser.finish()
    return parts
  }

  @Test(arguments: [1, 2, 3, 7, 16, 64, 1000])
  func piecesOfAnySizeGiveTheSame(_ pieces: Int) throws {
    let parts = try read(Self.form, pieces: pieces)
    #expect(
      parts == [
        "purpose": "batch", "file": "one\r\n--b0undar\r\ntwo\r\n",
        "name of file": #"a "b".jsonl"#, "empty": "",
      ])
  }

  @Test func brokenFormsAreRefused() {
    #expect(throws: APIError.self) { try read("", pieces: 10) }
    #expect(throws: APIError.self) { try read("nothing of the kind", pieces: 10) }
    let cut = Self.form.components(separatedBy: "--b0undary--")[0]
    #expect(throws: APIError.self) { try read(cut, pieces: 10) }
    let nameless = "--b0undary\r\nContent-Type: x\r\n\r\n\r\n--b0undary--"
    #expect(throws: APIError.self) { try read(nameless, pieces: 10) }
    let header = "--b0undary\r\n" + String(repeating: "x", count: 20_000)
    #expect(throws: APIError.self) { try read(header, pieces: 100) }
    let parts = String(
      repeating: "--b0undary\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n\r\n", count: 40)
    #expect(throws: APIError.self) { try read(parts + "--b0undary--", pieces: 100) }
  }

  @Test func boundariesAreRead() {
    #expect(MultipartParser.boundary(contentType: "multipart/form-data; boundary=abc") == "abc")
    let quoted = #"Multipart/Form-Data; charset=utf-8; boundary="a;b""#
    #expect(MultipartParser.boundary(contentType: quoted) == "a;b")
    for type in [nil, "application/json", "multipart/form-data", "multipart/form-data; boundary="] {
      #expect(MultipartParser.boundary(contentType: type) == nil)
    }
  }
}
