// Asks veraPDF whether each file is PDF/A-2a and PDF/UA-1. Run by Rhino, which comes with veraPDF's own libraries.
importPackage(org.verapdf.gf.foundry, org.verapdf.pdfa, org.verapdf.pdfa.flavours);
VeraGreenfieldFoundryProvider.initialise();
var failed = 0;
arguments.forEach(function (path) {
    ["2a", "ua1"].forEach(function (name) {
        var flavour = PDFAFlavour.fromString(name);
        var parser = Foundries.defaultInstance().createParser(new java.io.FileInputStream(path), flavour);
        var result = Foundries.defaultInstance().createValidator(flavour, false).validate(parser);
        print(path + " " + name + (result.isCompliant() ? " conforms" : " does not conform"));
        var assertion = result.getTestAssertions().iterator();
        while (!result.isCompliant() && assertion.hasNext()) {
            failed = 1;
            print("  " + assertion.next());
        }
        parser.close();
    });
});
quit(failed);
