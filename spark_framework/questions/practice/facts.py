"""Facts that the knowledge families ask for: capitals, dated events, works and their authors."""

from __future__ import annotations

CAPITALS = {
    "Peru": "Lima", "France": "Paris", "Japan": "Tokyo", "Egypt": "Cairo", "Kenya": "Nairobi", "Norway": "Oslo",
    "Canada": "Ottawa", "Turkey": "Ankara", "Chile": "Santiago", "Poland": "Warsaw", "Greece": "Athens",
    "Cuba": "Havana", "Iraq": "Baghdad", "Nepal": "Kathmandu", "Ghana": "Accra", "Finland": "Helsinki",
    "Hungary": "Budapest", "Portugal": "Lisbon", "Thailand": "Bangkok", "Vietnam": "Hanoi", "Australia": "Canberra",
    "Morocco": "Rabat", "Austria": "Vienna", "Iceland": "Reykjavik", "Senegal": "Dakar", "Ecuador": "Quito",
    "Mongolia": "Ulaanbaatar", "Jordan": "Amman", "Uganda": "Kampala", "Bulgaria": "Sofia", "Germany": "Berlin",
    "Italy": "Rome", "Spain": "Madrid", "Sweden": "Stockholm", "Denmark": "Copenhagen", "Ireland": "Dublin",
    "Belgium": "Brussels", "Netherlands": "Amsterdam", "Switzerland": "Bern", "Romania": "Bucharest",
    "Serbia": "Belgrade", "Croatia": "Zagreb", "Ukraine": "Kyiv", "Russia": "Moscow", "China": "Beijing",
    "India": "New Delhi", "Pakistan": "Islamabad", "Bangladesh": "Dhaka", "Indonesia": "Jakarta",
    "Malaysia": "Kuala Lumpur", "Philippines": "Manila", "South Korea": "Seoul", "Iran": "Tehran",
    "Saudi Arabia": "Riyadh", "Syria": "Damascus", "Lebanon": "Beirut", "Qatar": "Doha", "Ethiopia": "Addis Ababa",
    "Nigeria": "Abuja", "Tanzania": "Dodoma", "Algeria": "Algiers", "Tunisia": "Tunis", "Libya": "Tripoli",
    "Sudan": "Khartoum", "Angola": "Luanda", "Zambia": "Lusaka", "Zimbabwe": "Harare", "Brazil": "Brasilia",
    "Argentina": "Buenos Aires", "Colombia": "Bogota", "Venezuela": "Caracas", "Uruguay": "Montevideo",
    "Paraguay": "Asuncion", "New Zealand": "Wellington", "Slovakia": "Bratislava", "Slovenia": "Ljubljana",
    "Estonia": "Tallinn", "Latvia": "Riga", "Lithuania": "Vilnius", "Albania": "Tirana", "Georgia": "Tbilisi",
    "Armenia": "Yerevan", "Azerbaijan": "Baku", "Kazakhstan": "Astana", "Jamaica": "Kingston",
    "Mali": "Bamako", "Rwanda": "Kigali", "Madagascar": "Antananarivo",
}  # fmt: skip

EVENTS = {
    "Battle of Hastings": 1066, "signing of Magna Carta": 1215, "fall of Constantinople": 1453,
    "first voyage of Columbus": 1492, "start of the French Revolution": 1789, "American Declaration of Independence": 1776,
    "start of World War I": 1914, "end of World War II": 1945, "fall of the Berlin Wall": 1989,
    "first Moon landing": 1969, "October Revolution": 1917, "Battle of Waterloo": 1815,
    "start of the American Civil War": 1861, "Great Fire of London": 1666, "founding of the United Nations": 1945,
    "Wall Street Crash": 1929, "Peace of Westphalia": 1648, "Glorious Revolution": 1688, "Treaty of Versailles": 1919,
    "Cuban Missile Crisis": 1962, "independence of India": 1947, "defeat of the Spanish Armada": 1588,
    "Congress of Vienna": 1814, "opening of the Suez Canal": 1869, "Meiji Restoration": 1868,
    "Chernobyl disaster": 1986, "Battle of Agincourt": 1415, "coronation of Charlemagne": 800,
    "Louisiana Purchase": 1803, "Boston Tea Party": 1773, "Diet of Worms": 1521, "Battle of Lepanto": 1571,
    "unification of Germany": 1871, "abolition of slavery in Brazil": 1888, "Battle of Trafalgar": 1805,
    "Norman conquest of England": 1066, "Battle of Marathon": -490,
}  # fmt: skip

WORKS = {
    "Hamlet": "William Shakespeare", "War and Peace": "Leo Tolstoy", "Crime and Punishment": "Fyodor Dostoevsky",
    "Don Quixote": "Miguel de Cervantes", "Pride and Prejudice": "Jane Austen", "Moby-Dick": "Herman Melville",
    "The Divine Comedy": "Dante Alighieri", "Faust": "Johann Wolfgang von Goethe", "Ulysses": "James Joyce",
}  # fmt: skip
