/** Makes files with the writers of npm. Arguments: the folder where they are installed, the folder for the files.
 * Each writer has a folder of its own there, named after package and version. */
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [installed, out] = process.argv.slice(2);
const load = createRequire(path.join(path.resolve(installed), "package.json"));
const rows = [["Month", "Amount"], ["January", 12.5], ["Février", 7]];

/** Write a file as the writer of this name. */
function keep(writer, name, bytes) {
  const { version } = JSON.parse(fs.readFileSync(path.join(installed, "node_modules", writer, "package.json"), "utf8"));
  const folder = path.join(out, `${writer} ${version}`);
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, name), bytes);
}

for (const writer of ["xlsx", "xlsx-js-style"]) {
  const sheetjs = load(writer);
  const book = sheetjs.utils.book_new();
  sheetjs.utils.book_append_sheet(book, sheetjs.utils.aoa_to_sheet(rows), "Sales");
  for (const bookType of ["xlsx", "ods", "biff8", "csv", "rtf"]) {
    const ending = bookType === "biff8" ? "xls" : bookType;
    keep(writer, `book.${ending}`, sheetjs.write(book, { type: "buffer", bookType }));
  }
  keep(writer, "packed.xlsx", sheetjs.write(book, { type: "buffer", bookType: "xlsx", compression: true }));
}

const ExcelJS = load("exceljs");
const workbook = new ExcelJS.Workbook();
workbook.addWorksheet("Sales").addRows(rows);
keep("exceljs", "book.xlsx", Buffer.from(await workbook.xlsx.writeBuffer()));
const streamed = path.join(out, "streamed.xlsx");
const stream = new ExcelJS.stream.xlsx.WorkbookWriter({ filename: streamed });
const sheet = stream.addWorksheet("Sales");
for (const row of rows) sheet.addRow(row).commit();
await stream.commit();
keep("exceljs", "streamed.xlsx", fs.readFileSync(streamed));
fs.rmSync(streamed);

const PptxGenJS = load("pptxgenjs");
const slides = new PptxGenJS();
const slide = slides.addSlide();
slide.addText("Plans", { x: 1, y: 1 });
slide.addTable(rows.map((row) => row.map((text) => ({ text: String(text) }))), { x: 1, y: 2 });
slide.addChart(slides.ChartType.bar, [{ name: "Sales", labels: ["January"], values: [12.5] }], { x: 1, y: 3 });
keep("pptxgenjs", "slides.pptx", await slides.write({ outputType: "nodebuffer" }));

const docx = load("docx");
const words = new docx.Document({ sections: [{ children: [new docx.Paragraph("Figures of the year")] }] });
keep("docx", "letter.docx", await docx.Packer.toBuffer(words));
