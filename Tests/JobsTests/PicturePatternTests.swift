import Foundation
import Messaging
import Testing

@testable import Jobs

@Suite struct PicturePatternTests {
  private func folder() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    for name in ["d", "d/e", "d/f"] {
      try FileManager.default.createDirectory(
        atPath: folder.path(name), withIntermediateDirectories: true)
    }
    for name in ["d/b.png", "d/a.JPG", "d/c.txt", "d/e/a.webp", "d/f/a.webp", "d/f/[1].png"] {
      _ = try folder.write(try png(), name)
    }
    return folder
  }

  @Test("Folders and patterns stand for their pictures in order; paths for themselves")
  func names() throws {
    let folder = try folder()
    func names(_ path: String) throws -> [String]? {
      try PicturePattern(path, folder: folder.url)?.names(folder: folder.url, atMost: 10)
    }
    #expect(try names("d") == ["a.JPG", "b.png"])
    #expect(try names("d/") == ["a.JPG", "b.png"])
    #expect(try names("d/*.png") == ["b.png"])
    #expect(try names("d/?.*") == ["a.JPG", "b.png"])
    #expect(try names("d/*/a.webp") == ["e/a.webp", "f/a.webp"])
    #expect(try names(folder.path("d/[ab].png")) == ["b.png"])
    #expect(try names("d/b.png") == nil)
    #expect(try names("nowhere/x.png") == nil)
    #expect(try names("nowhere") == nil)
    // There is a file of just this name.
    #expect(try names("d/f/[1].png") == nil)
    for (path, code, count) in [
      ("d/*.gif", "image_not_found", 10), ("d/*.txt", "image_not_found", 10),
      ("d", "too_many_pictures", 1),
    ] {
      let pattern = try #require(PicturePattern(path, folder: folder.url))
      #expect(throws: Failure.self, "\(code)") {
        try pattern.names(folder: folder.url, atMost: count)
      }
    }
  }

  @Test("A line with a pattern is one request a picture; one without pictures is one error")
  func lines() async throws {
    let folder = try folder()
    let text =
      #"{"custom_id":"all","image":"d/*/*.webp","prompt":"x"}"# + "\n"
      + #"{"custom_id":"none","image":"d/*.gif","prompt":"x"}"# + "\n"
      + #"{"custom_id":"one","image":"d/b.png","prompt":"x"}"#
    var configuration = BatchRunner.Configuration(
      input: try folder.write(text, "in.jsonl"), output: folder.path("out.jsonl"))
    configuration.isOrdered = true
    let summary = try await BatchRunner(configuration, service: FakeService()).run()
    #expect(summary.failures == ["image_not_found": 1])
    #expect(
      try folder.objects("out.jsonl").compactMap { $0["custom_id"] as? String }
        == ["all/e/a.webp", "all/f/a.webp", "one"])
    let ids = try folder.objects("out.jsonl").compactMap { $0["id"] as? String }
    #expect(Set(ids).count == 3)
  }

  @Test("A list of pictures stays the same until other pictures match")
  func list() throws {
    let folder = try folder()
    let path = PictureList.path(for: folder.path("out.jsonl"))
    #expect(path == folder.path("out.requests.jsonl"))
    let list = PictureList(patterns: [folder.path("d"), folder.path("d/*.png")], prompts: ["x"])
    try list.write(to: path, isKept: false)
    let lines = try folder.objects("out.requests.jsonl")
    #expect(
      lines.map { $0["image"] as? String } == [folder.path("d/a.JPG"), folder.path("d/b.png")])
    #expect(lines.map { $0["prompt"] as? String } == ["x", "x"])
    func modified() throws -> Date? {
      try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
    }
    let written = try modified()
    try list.write(to: path, isKept: true)
    #expect(try modified() == written)
    _ = try folder.write(try png(), "d/new.png")
    #expect(throws: BatchError.self) { try list.write(to: path, isKept: true) }
    #expect(try folder.objects("out.requests.jsonl").count == 2)
    try list.write(to: path, isKept: false)
    #expect(try folder.objects("out.requests.jsonl").count == 3)
  }
}
