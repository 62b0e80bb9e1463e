import Testing

@testable import palisade

/// Numbers and columns as people read them.
@Suite struct TextTableTests {
  @Test func counts() {
    #expect(Readable.count(0) == "0")
    #expect(Readable.count(999) == "999")
    #expect(Readable.count(2_923_466_480) == "2,923,466,480")
    #expect(Readable.count(-1234) == "-1,234")
    #expect(Readable.count(.min) == "-9,223,372,036,854,775,808")
  }

  @Test func bytesAndPlaces() {
    #expect(Readable.bytes(999) == "999 B")
    #expect(Readable.bytes(5_846_932_960) == "5.8 GB")
    #expect(Readable.bytes(.max) == "9.2 EB")
    #expect(Readable.fixed(0.05, places: 1) == "0.1")
    #expect(Readable.fixed(-0.001, places: 2) == "0.00")
    #expect(Readable.fixed(1.999, places: 2) == "2.00")
    #expect(Readable.fixed(12.3, places: 0) == "12")
    #expect(Readable.fixed(.infinity, places: 1) == "inf")
  }

  @Test func columns() {
    var table = TextTable(["a", "number"], rightAligned: [1])
    table.add(["long", "7"])
    #expect(table.text == "a     number\nlong       7")
  }
}
