/// Contractions that VQAv2's evaluation puts right: a closed list, as small and as uneven as its authors
/// wrote it (`hedve` isn't in it, `somebody'd` loses its apostrophe), without the entries that change
/// nothing and those in upper case, which no lower-cased word can meet.
enum VQAContractions {
  /// From the word as people type it to the word compared.
  static let withApostrophe: [String: String] = {
    var table: [String: String] = [:]
    for word in withoutAny.split(whereSeparator: \.isWhitespace) {
      table[word.filter { $0 != "'" }] = String(word)
    }
    for pair in withSome.split(whereSeparator: \.isWhitespace) {
      let parts = pair.split(separator: "=")
      if parts.count == 2 { table[String(parts[0])] = String(parts[1]) }
    }
    return table
  }()

  /// Recognised without any of their apostrophes.
  private static let withoutAny = """
    'twas ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd
    he's how'd how'll how's isn't it'd it'll ma'am might've mightn't must've mustn't needn't
    not've o'clock oughtn't shan't should've shouldn't somebody'll somebody's someone'd
    someone'll someone's something'd something'll that's there'd there're there's they'd they'll
    they're they've wasn't we've weren't what'll what're what's what've when's where'd where's
    where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd
    you'll you're you've
    """

  /// Recognised in another spelling.
  private static let withSome = """
    'ow'sat='ow's'at 'ows'at='ow's'at couldn'tve=couldn't've couldnt've=couldn't've
    hadn'tve=hadn't've hadnt've=hadn't've he'dve=he'd've hed've=he'd've it'dve=it'd've
    itd've=it'd've mightn'tve=mightn't've mightnt've=mightn't've ow's'at='ow's'at
    she'dve=she'd've shed've=she'd've shouldn'tve=shouldn't've shouldnt've=shouldn't've
    somebody'd=somebodyd somebody'dve=somebody'd've somebodyd've=somebody'd've
    someone'dve=someone'd've someoned've=someone'd've something'dve=something'd've
    somethingd've=something'd've there'dve=there'd've thered've=there'd've they'dve=they'd've
    theyd've=they'd've we'dve=we'd've wed've=we'd've who'dve=who'd've whod've=who'd've
    wouldn'tve=wouldn't've wouldnt've=wouldn't've y'all'dve=y'all'd've y'alld've=y'all'd've
    y'allll=y'all'll yall'd've=y'all'd've yall'll=y'all'll you'dve=you'd've youd've=you'd've
    """
}
