"""Elements, compounds and reactions that the chemistry families draw from."""

from __future__ import annotations

ELEMENTS = (
    ("hydrogen", "H", 1, 1.008), ("helium", "He", 2, 4.003), ("lithium", "Li", 3, 6.94),
    ("beryllium", "Be", 4, 9.012), ("boron", "B", 5, 10.81), ("carbon", "C", 6, 12.011), ("nitrogen", "N", 7, 14.007),
    ("oxygen", "O", 8, 15.999), ("fluorine", "F", 9, 18.998), ("neon", "Ne", 10, 20.18), ("sodium", "Na", 11, 22.99),
    ("magnesium", "Mg", 12, 24.305), ("aluminium", "Al", 13, 26.982), ("silicon", "Si", 14, 28.085),
    ("phosphorus", "P", 15, 30.974), ("sulfur", "S", 16, 32.06), ("chlorine", "Cl", 17, 35.45),
    ("argon", "Ar", 18, 39.95), ("potassium", "K", 19, 39.098), ("calcium", "Ca", 20, 40.078),
    ("scandium", "Sc", 21, 44.956), ("titanium", "Ti", 22, 47.867), ("vanadium", "V", 23, 50.942),
    ("chromium", "Cr", 24, 51.996), ("manganese", "Mn", 25, 54.938), ("iron", "Fe", 26, 55.845),
    ("cobalt", "Co", 27, 58.933), ("nickel", "Ni", 28, 58.693), ("copper", "Cu", 29, 63.546),
    ("zinc", "Zn", 30, 65.38), ("gallium", "Ga", 31, 69.723), ("germanium", "Ge", 32, 72.63),
    ("arsenic", "As", 33, 74.922), ("selenium", "Se", 34, 78.971), ("bromine", "Br", 35, 79.904),
    ("krypton", "Kr", 36, 83.798), ("rubidium", "Rb", 37, 85.468), ("strontium", "Sr", 38, 87.62),
    ("yttrium", "Y", 39, 88.906), ("zirconium", "Zr", 40, 91.224), ("niobium", "Nb", 41, 92.906),
    ("molybdenum", "Mo", 42, 95.95), ("palladium", "Pd", 46, 106.42), ("silver", "Ag", 47, 107.868),
    ("cadmium", "Cd", 48, 112.414), ("tin", "Sn", 50, 118.71), ("antimony", "Sb", 51, 121.76),
    ("iodine", "I", 53, 126.904), ("xenon", "Xe", 54, 131.293), ("caesium", "Cs", 55, 132.905),
    ("barium", "Ba", 56, 137.327), ("tungsten", "W", 74, 183.84), ("iridium", "Ir", 77, 192.217),
    ("platinum", "Pt", 78, 195.084), ("gold", "Au", 79, 196.967), ("mercury", "Hg", 80, 200.592),
    ("lead", "Pb", 82, 207.2), ("bismuth", "Bi", 83, 208.98), ("thorium", "Th", 90, 232.038),
    ("uranium", "U", 92, 238.029),
)  # fmt: skip
"""Name, symbol, atomic number, atomic weight (IUPAC, abridged)."""

COMPOUNDS = (
    "H2O", "CO2", "NaCl", "NH3", "CH4", "C6H12O6", "H2SO4", "HCl", "NaOH", "KBr", "MgO", "CaCl2", "SO2", "N2O",
    "C2H6", "C3H8", "FeO", "Fe2O3", "CuSO4", "ZnCl2", "AgCl", "PbO", "NO2", "HNO3", "KOH", "LiF", "BaCl2", "SiO2",
    "PCl3", "C2H4", "CaO", "Al2O3", "KI", "NaF", "HBr", "TiO2", "CO", "NO", "H2S", "SO3", "CaCO3", "KClO3", "KMnO4",
    "NaBr", "MgCl2", "FeCl3", "CuO", "ZnO", "AgBr", "SnO2", "Cr2O3", "MnO2", "C4H10", "C8H18", "CH4O", "C2H6O",
    "H3PO4", "N2H4", "CCl4", "Li2O",
)  # fmt: skip

EQUATIONS = (
    "2 H2 + O2 -> 2 H2O", "N2 + 3 H2 -> 2 NH3", "CH4 + 2 O2 -> CO2 + 2 H2O", "C3H8 + 5 O2 -> 3 CO2 + 4 H2O",
    "4 Fe + 3 O2 -> 2 Fe2O3", "2 Na + Cl2 -> 2 NaCl", "2 Mg + O2 -> 2 MgO", "4 Al + 3 O2 -> 2 Al2O3",
    "2 KClO3 -> 2 KCl + 3 O2", "2 H2O2 -> 2 H2O + O2", "Zn + 2 HCl -> ZnCl2 + H2", "2 K + 2 H2O -> 2 KOH + H2",
    "C2H4 + 3 O2 -> 2 CO2 + 2 H2O", "2 C2H6 + 7 O2 -> 4 CO2 + 6 H2O", "2 SO2 + O2 -> 2 SO3", "P4 + 5 O2 -> P4O10",
    "2 Al + 6 HCl -> 2 AlCl3 + 3 H2", "Fe2O3 + 3 CO -> 2 Fe + 3 CO2", "4 NH3 + 5 O2 -> 4 NO + 6 H2O",
    "2 NO + O2 -> 2 NO2", "Mg + 2 HCl -> MgCl2 + H2", "2 Na + 2 H2O -> 2 NaOH + H2",
    "C6H12O6 + 6 O2 -> 6 CO2 + 6 H2O", "2 CO + O2 -> 2 CO2", "3 H2 + Fe2O3 -> 2 Fe + 3 H2O",
    "2 Al + 3 Cl2 -> 2 AlCl3", "H2 + Cl2 -> 2 HCl", "CaO + 2 HCl -> CaCl2 + H2O", "4 Li + O2 -> 2 Li2O",
    "2 Ca + O2 -> 2 CaO", "SiO2 + 2 C -> Si + 2 CO", "CS2 + 3 O2 -> CO2 + 2 SO2", "2 H2S + 3 O2 -> 2 SO2 + 2 H2O",
    "N2 + O2 -> 2 NO", "3 Mg + N2 -> Mg3N2", "2 C4H10 + 13 O2 -> 8 CO2 + 10 H2O",
)  # fmt: skip
