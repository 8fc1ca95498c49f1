// Synchronous RAM with one write port and one read port, whole words.
//
// read_data takes the word at read_address when read_en is high, one cycle later, and keeps it otherwise. A word that is
// read in the cycle it is written gives its old value (no forwarding), which every block RAM can do.
// STYLE goes to the synthesis tool ("auto", "block", "ultra", "distributed").
module triovit_ram #(
    parameter WIDTH = 64,
    parameter DEPTH = 1024,
    parameter ADDRESS_BITS = 10,
    parameter STYLE = "auto"
) (
    input  wire                    clk,
    input  wire                    write_en,
    input  wire [ADDRESS_BITS-1:0] write_address,
    input  wire [WIDTH-1:0]        write_data,
    input  wire                    read_en,
    input  wire [ADDRESS_BITS-1:0] read_address,
    output reg  [WIDTH-1:0]        read_data
);
    (* ram_style = STYLE *)
    reg [WIDTH-1:0] memory [0:DEPTH-1];

    always @(posedge clk) begin
        if (write_en)
            memory[write_address] <= write_data;
        if (read_en)
            read_data <= memory[read_address];
    end
endmodule
